// SPDX-License-Identifier: Apache-2.0

/// The shapes of a picture, as SVG elements; coordinates are pixels from the upper left corner.
///
/// Colours come from classes, see `PlotStyle`, so that light and dark need no other picture.
struct Drawing {
    enum Anchor: String {
        case start, middle, end
    }

    let width: Double
    var height: Double
    private(set) var elements: [String] = []

    init(width: Double, height: Double = 0) {
        self.width = width
        self.height = height
    }

    mutating func line(_ from: (Double, Double), _ to: (Double, Double), class name: String) {
        let ends =
            "x1=\"\(Self.number(from.0))\" y1=\"\(Self.number(from.1))\" "
            + "x2=\"\(Self.number(to.0))\" y2=\"\(Self.number(to.1))\""
        elements.append("<line class=\"\(name)\" \(ends)/>")
    }

    /// - Parameters:
    ///   - opacity: left out for 1.
    ///   - tip: what a pointer over it is told.
    mutating func rectangle(
        x: Double, y: Double, width: Double, height: Double, class name: String, opacity: Double = 1,
        tip: String? = nil
    ) {
        let frame =
            "x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" "
            + "width=\"\(Self.number(width))\" height=\"\(Self.number(height))\""
        let shade = opacity == 1 ? "" : " fill-opacity=\"\(Self.number(opacity))\""
        let inside = tip.map { "><title>\(XML.escape($0))</title></rect>" } ?? "/>"
        elements.append("<rect class=\"\(name)\" \(frame)\(shade)\(inside)")
    }

    mutating func circle(_ center: (Double, Double), radius: Double, class name: String, tip: String? = nil) {
        let place =
            "cx=\"\(Self.number(center.0))\" cy=\"\(Self.number(center.1))\" r=\"\(Self.number(radius))\""
        let inside = tip.map { "><title>\(XML.escape($0))</title></circle>" } ?? "/>"
        elements.append("<circle class=\"\(name)\" \(place)\(inside)")
    }

    mutating func polyline(_ points: [(Double, Double)], class name: String, tip: String? = nil) {
        let list = points.map { Self.number($0.0) + "," + Self.number($0.1) }.joined(separator: " ")
        let inside = tip.map { "><title>\(XML.escape($0))</title></polyline>" } ?? "/>"
        elements.append("<polyline class=\"\(name)\" points=\"\(list)\"\(inside)")
    }

    /// - Parameter y: of the base line.
    mutating func text(
        _ text: String, x: Double, y: Double, anchor: Anchor = .start, class name: String = "",
        turned: Bool = false
    ) {
        let place = "x=\"\(Self.number(x))\" y=\"\(Self.number(y))\""
        let side = anchor == .start ? "" : " text-anchor=\"\(anchor.rawValue)\""
        let turn = turned ? " transform=\"rotate(-90 \(Self.number(x)) \(Self.number(y)))\"" : ""
        let kind = name.isEmpty ? "" : " class=\"\(name)\""
        elements.append("<text\(kind) \(place)\(side)\(turn)>\(XML.escape(text))</text>")
    }

    /// About how wide a text is in the fonts of `PlotStyle`; on the safe side.
    static func textWidth(_ text: String, size: Double = 12) -> Double {
        Double(text.count) * size * 0.57
    }

    /// A text cut to a width, with dots where something is left out.
    static func cut(_ text: String, toWidth width: Double) -> String {
        if textWidth(text) <= width { return text }
        let count = max(1, Int(width / textWidth("x")) - 1)
        return text.prefix(count) + "…"
    }

    /// A tenth of a pixel is enough for anybody.
    static func number(_ value: Double) -> String {
        let text = Format.fixed(value, value.magnitude < 1 ? 2 : 1)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}

/// Text in markup.
enum XML {
    static func escape(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            // Control characters have no place in XML, not even escaped.
            case "\t", "\n": result += " "
            case _ where character.value < 0x20 || (0xfffe...0xffff).contains(character.value):
                result += "\u{fffd}"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
