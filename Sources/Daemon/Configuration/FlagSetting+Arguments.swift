// SPDX-License-Identifier: Apache-2.0

extension FlagSetting {
    /// Turns `--section-name VALUE` and `--section-name=VALUE` into `--set section.name=VALUE`: the table has
    /// the options, so the parser of the command line need not know each.
    ///
    /// Stops at `--`.
    public static func unfold(_ arguments: [String]) -> [String] {
        let keys = Dictionary(uniqueKeysWithValues: Settings.all.map { ($0.flag, $0) })
        var result: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" { return result + [argument] + rest }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = keys[String(parts[0])] else {
                result.append(argument)
                continue
            }
            if parts.count == 2 {
                result += ["--set", "\(key.path)=\(parts[1])"]
            } else if let value = rest.popFirst() {
                result += ["--set", "\(key.path)=\(value)"]
            } else {
                result.append(argument)
            }
        }
        return result
    }

    /// Takes `section.name=VALUE` apart.
    public init(parsing text: String) throws(Failure) {
        guard let equals = text.firstIndex(of: "=") else {
            throw Failure(.invalid, "--set \(text): no value; write --set section.name=value")
        }
        let path = String(text[..<equals])
        self.init(path: path, text: String(text[text.index(after: equals)...]), flag: "--set \(path)")
    }
}
