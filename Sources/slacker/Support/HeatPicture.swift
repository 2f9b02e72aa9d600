// SPDX-License-Identifier: Apache-2.0

import Daemon

/// Draws the blocks of an image as SVG: each cell some blocks, from left to right and from top to bottom.
///
/// Holes are left out. A cell has the colour of what most of its blocks are, a dark middle where a start touches some
/// of them, and a line across where other images share most of them: so it can be read without colours too.
struct HeatPicture {
    private enum Kind: Int, CaseIterable {
        case absent, fetched, local

        var colour: String {
            switch self {
            case .absent: "#e4e4e0"
            case .fetched: "#f2b04a"
            case .local: "#5b9bd5"
            }
        }

        var text: String {
            switch self {
            case .absent: "not here"
            case .fetched: "fetched"
            case .local: "local"
            }
        }
    }

    private struct Cell {
        var counts = [UInt32](repeating: 0, count: Kind.allCases.count)
        var touched: UInt32 = 0
        var shared: UInt32 = 0

        var total: UInt32 { counts.reduce(0, +) }
        var kind: Kind { Kind.allCases.max { counts[$0.rawValue] < counts[$1.rawValue] } ?? .absent }
    }

    private static let columns = 96
    private static let rowLimit = 72
    private static let cellSize = 9
    private static let touchedColour = "#b3132b"

    private let heat: HeatInfo
    private let blocksPerCell: UInt64
    private var cells: [Cell] = []
    private var sums = Cell()

    init(_ heat: HeatInfo) {
        self.heat = heat
        let blocks = heat.runs.reduce(UInt64(0)) { $0 + UInt64($1.count) }
        let limit = UInt64(Self.columns * Self.rowLimit)
        blocksPerCell = max(1, (blocks + limit - 1) / limit)
        var cell = Cell()
        var used: UInt64 = 0
        for run in heat.runs {
            let kind: Kind = !run.here ? .absent : run.fetchable ? .fetched : .local
            var left = UInt64(run.count)
            while left > 0 {
                let count = min(left, blocksPerCell - used)
                Self.add(UInt32(count), run, kind, to: &cell)
                Self.add(UInt32(count), run, kind, to: &sums)
                (left, used) = (left - count, used + count)
                if used == blocksPerCell {
                    cells.append(cell)
                    (cell, used) = (Cell(), 0)
                }
            }
        }
        if used > 0 { cells.append(cell) }
    }

    private static func add(_ count: UInt32, _ run: HeatInfo.Run, _ kind: Kind, to cell: inout Cell) {
        cell.counts[kind.rawValue] += count
        if run.touched { cell.touched += count }
        if run.shared { cell.shared += count }
    }

    var svg: String {
        let rows = max(1, (cells.count + Self.columns - 1) / Self.columns)
        let width = Self.columns * Self.cellSize + 40
        let height = rows * Self.cellSize + 130
        var text = """
            <?xml version="1.0" encoding="UTF-8"?>
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
            viewBox="0 0 \(width) \(height)" font-family="DejaVu Sans, sans-serif" font-size="12">
            <title>\(Self.escaped(heat.image))</title>
            <rect width="100%" height="100%" fill="white"/>
            <text x="20" y="28" font-size="16">\(Self.escaped(heat.image))</text>
            <text x="20" y="48" fill="#555">\(summary)</text>

            """
        text += legend
        for (index, cell) in cells.enumerated() { text += Self.drawing(of: cell, at: index) }
        return text + "</svg>\n"
    }

    private var summary: String {
        let cellBytes = Size.text(blocksPerCell * 4096)
        return "\(Size.text(UInt64(sums.total) * 4096)) of data, without holes; a cell is \(cellBytes)"
            + (heat.hasProfile ? "" : "; no start has been recorded, so none is shown")
    }

    private var legend: String {
        var text = ""
        var x = 20
        func add(_ drawing: String, _ label: String, _ blocks: UInt32) {
            let words =
                "\(label): \(Size.text(UInt64(blocks) * 4096)), \(Share.text(UInt64(blocks), of: max(1, UInt64(sums.total))))"
            text += drawing + "<text x=\"\(x + 16)\" y=\"74\">\(words)</text>\n"
            x += 28 + 7 * words.count
        }
        for kind in Kind.allCases.reversed() where sums.counts[kind.rawValue] > 0 {
            let box =
                "<rect x=\"\(x)\" y=\"64\" width=\"11\" height=\"11\" fill=\"\(kind.colour)\" stroke=\"#999\"/>"
            add(box, kind.text, sums.counts[kind.rawValue])
        }
        add(
            "<rect x=\"\(x + 2)\" y=\"66\" width=\"7\" height=\"7\" fill=\"\(Self.touchedColour)\"/>",
            "touched at start", sums.touched)
        add(
            "<path d=\"M\(x) 75L\(x + 11) 64\" stroke=\"#222\" stroke-width=\"1.2\"/>",
            "shared with other images",
            sums.shared)
        return text
    }

    private static func drawing(of cell: Cell, at index: Int) -> String {
        let (x, y) = (20 + index % columns * cellSize, 92 + index / columns * cellSize)
        let side = cellSize - 1
        var text =
            "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(side)\" height=\"\(side)\" fill=\"\(cell.kind.colour)\"/>"
        if cell.touched > 0 {
            // The more of it is touched, the larger.
            let inner = 3 + (side - 5) * Int(cell.touched) / Int(cell.total)
            let gap = Double(side - inner) / 2
            text +=
                "<rect x=\"\(Double(x) + gap)\" y=\"\(Double(y) + gap)\" width=\"\(inner)\" height=\"\(inner)\" "
                + "fill=\"\(touchedColour)\"/>"
        }
        if cell.shared * 2 >= cell.total {
            text += "<path d=\"M\(x) \(y + side)L\(x + side) \(y)\" stroke=\"#222\" stroke-width=\"0.7\"/>"
        }
        return text + "\n"
    }

    private static func escaped(_ text: String) -> String {
        Printable.text(text).map { character in
            switch character {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            default: String(character)
            }
        }.joined()
    }
}
