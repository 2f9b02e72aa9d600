// SPDX-License-Identifier: Apache-2.0

import Base
import Testing

/// The documentation shows what the program does.
@Suite("Documentation", .timeLimit(.minutes(5)))
struct DocumentationTests {
    private static let project = Directories.parent(
        of: Directories.parent(of: Directories.parent(of: #filePath)))

    @Test("links lead somewhere, every command is one, and those that need nothing special work as shown")
    func commands() throws {
        let program = Machine.program.hasPrefix("/") ? Machine.program : Self.project + "/" + Machine.program
        let result = try Subprocess.run(
            ["timeout", "-k", "5", "240", Self.project + "/tools/check-docs", "--program", program, "--run"])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
    }

    @Test("every verb has help with an example, and wrong usage ends with status 2 and one line")
    func help() throws {
        let machine = try Machine()
        let help = try machine.succeed("--help")
        let verbs = help.split(separator: "\n").drop { !$0.hasPrefix("SUBCOMMANDS") }.dropFirst()
            .filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
            .compactMap { $0.split(separator: " ").first.map(String.init) }
        #expect(verbs.count > 20, "\(verbs)")
        for verb in verbs where !["internal", "help", "See"].contains(verb) {
            let text = try machine.succeed(verb, "--help")
            #expect(text.contains("Example: slacker"), "\(verb)")
            try machine.fail([verb, "--no-such-option"], status: 2)
        }
        try machine.fail(["no-such-verb"], status: 2)
    }

    @Test("the template of the configuration is accepted, with and without its comments")
    func template() throws {
        let machine = try Machine()
        let template = try machine.succeed("config", "--template")
        let path = machine.directory + "/config.toml"
        try machine.write(template, path)
        try machine.succeed("--config", path, "config")
        let settings = template.split(separator: "\n").map { line in
            line.hasPrefix("# ") && line.contains(" = ") && line.dropFirst(2).first?.isLowercase == true
                ? String(line.dropFirst(2)) : String(line)
        }
        try machine.write(settings.joined(separator: "\n") + "\n", path)
        let shown = try machine.succeed("--config", path, "config", "--json")
        #expect(shown.contains(path), "\(shown)")
    }
}
