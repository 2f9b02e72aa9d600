// SPDX-License-Identifier: Apache-2.0

/// Names of layers in the cache: the same recipes one above the other have the same name.
enum LayerKey {
    /// Changes when the same recipe would give another layer.
    private static let format = "1"

    /// The names of layers, in their order.
    static func keys(of recipes: [LayerRecipe]) -> [String] {
        var hash = Hash(format)
        return recipes.map { recipe in
            hash.add(recipe.text)
            return hash.text
        }
    }

    static func name(of image: DebianImage) -> String {
        var hash = Hash(format)
        for recipe in image.layers { hash.add(recipe.text) }
        let configuration = image.configuration
        for words in [configuration.entrypoint, configuration.command, configuration.environment] {
            hash.add(words.joined(separator: "\u{0}"))
        }
        hash.add("\(configuration.user ?? "")\u{0}\(configuration.directory ?? "")")
        return hash.text
    }

    /// FNV-1a with 64 bits: a few hundred names need no more.
    private struct Hash {
        private var value: UInt64 = 0xcbf2_9ce4_8422_2325

        init(_ text: String) { add(text) }

        mutating func add(_ text: String) {
            for byte in Array(text.utf8) + [0xff] { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }

        var text: String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
    }
}

extension LayerRecipe {
    /// All that decides what becomes of it.
    fileprivate var text: String {
        switch self {
        case .system(let suite): "system \(suite)"
        case .packages(let names, let suite, let before, let after):
            "packages \(suite) \(names.joined(separator: " "))\u{0}\(before ?? "")\u{0}\(after ?? "")"
        case .unpacked(let names, let suite, let after):
            "unpacked \(suite) \(names.joined(separator: " "))\u{0}\(after ?? "")"
        case .command(let command): "run \(command)"
        case .files(let files):
            "files "
                + files.map { "\($0.path) \($0.mode) \(String(decoding: $0.content, as: UTF8.self))" }
                .joined(separator: "\u{0}")
        }
    }

    /// In a few words, for progress and the image's history.
    var title: String {
        switch self {
        case .system(let suite): "\(suite) minbase"
        case .packages(let names, _, _, _), .unpacked(let names, _, _):
            names.prefix(4).joined(separator: " ") + (names.count > 4 ? " and \(names.count - 4) more" : "")
        case .command(let command): String(command.prefix(60))
        case .files(let files): files.map(\.path).joined(separator: " ")
        }
    }
}
