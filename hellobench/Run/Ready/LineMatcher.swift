// SPDX-License-Identifier: Apache-2.0

/// Finds the lines of a ready condition in output that comes in pieces.
struct LineMatcher {
    /// Nobody prints hello in longer lines; what is longer is cut.
    private static let longestLine = 1 << 16

    private let texts: [[UInt8]]
    private let occurrence: Int
    private var line: [UInt8] = []
    private var lineHasMatched = false
    private(set) var matches = 0

    init(anyOf texts: [String], occurrence: Int) {
        self.texts = texts.map { Array($0.utf8) }
        self.occurrence = max(1, occurrence)
    }

    /// What a ready condition wants to see; nil when it does not look at the output.
    init?(_ ready: Ready) {
        switch ready {
        case .line(let texts, let occurrence): self.init(anyOf: texts, occurrence: occurrence)
        case .exit(_, let text?): self.init(anyOf: [text], occurrence: 1)
        case .exit(_, nil), .url: return nil
        }
    }

    var isSatisfied: Bool { matches >= occurrence }

    /// Takes the next piece; a line counts as soon as it holds the text, be it finished or not.
    mutating func take(_ piece: some Sequence<UInt8>) {
        for byte in piece {
            if byte == UInt8(ascii: "\n") {
                look()
                line.removeAll(keepingCapacity: true)
                lineHasMatched = false
            } else if line.count < Self.longestLine {
                line.append(byte)
            }
        }
        look()
    }

    private mutating func look() {
        guard !lineHasMatched, texts.contains(where: { Self.contains(line, $0) }) else { return }
        lineHasMatched = true
        matches += 1
    }

    private static func contains(_ line: [UInt8], _ text: [UInt8]) -> Bool {
        guard let first = text.first else { return true }
        guard line.count >= text.count else { return false }
        for start in 0...line.count - text.count where line[start] == first {
            if line[start..<start + text.count].elementsEqual(text) { return true }
        }
        return false
    }
}
