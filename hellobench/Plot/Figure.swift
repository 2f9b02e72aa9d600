// SPDX-License-Identifier: Apache-2.0

/// Something that can be drawn as wide as there is room.
protocol Plot {
    func draw(width: Double) -> Drawing
}

/// A picture with its words.
struct Figure {
    /// Names its file and its place on the page; letters, digits and dashes.
    let name: String
    let title: String
    /// What is to be seen, for those who do not see it.
    let description: String
    /// How it was made and how to read it.
    let caption: String
    let plot: any Plot

    static let fileWidth = 860.0

    init(name: String, title: String, description: String, caption: String, plot: any Plot) {
        self.name = Self.identifier(name)
        self.title = title
        self.description = description
        self.caption = caption
        self.plot = plot
    }

    private static func identifier(_ text: String) -> String {
        String(text.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
    }

    /// A part of a page, which has the style sheet and the title.
    func element(width: Double) -> String {
        let drawing = plot.draw(width: width)
        let id = "\(name)-\(Int(width))"
        return open(drawing, id: id, height: drawing.height) + drawing.elements.joined(separator: "\n")
            + "</svg>\n"
    }

    /// A file that stands for itself: with a title to be seen, a background and its own style sheet.
    var file: String {
        let drawing = plot.draw(width: Self.fileWidth)
        let top = 34.0
        var frame = Drawing(width: drawing.width)
        frame.rectangle(
            x: 0, y: 0, width: drawing.width, height: drawing.height + top, class: "bg")
        frame.text(title, x: 12, y: 22, class: "title")
        let parts =
            ["<style>\(PlotStyle.sheet)</style>"] + frame.elements + [
                "<g transform=\"translate(0 \(Int(top)))\">"
            ]
            + drawing.elements + ["</g>", "</svg>"]
        return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            + open(drawing, id: name, height: drawing.height + top)
            + parts.joined(separator: "\n") + "\n"
    }

    private func open(_ drawing: Drawing, id: String, height: Double) -> String {
        let size = "\(Drawing.number(drawing.width)) \(Drawing.number(height))"
        return "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 \(size)\" "
            + "width=\"\(Drawing.number(drawing.width))\" height=\"\(Drawing.number(height))\" role=\"img\" "
            + "aria-labelledby=\"\(id)-t \(id)-d\">\n<title id=\"\(id)-t\">\(XML.escape(title))</title>\n"
            + "<desc id=\"\(id)-d\">\(XML.escape(description))</desc>\n"
    }
}
