// SPDX-License-Identifier: Apache-2.0

import Base
import FoundationEssentials
import Glibc
import OCI
import Testing

@testable import Mounts

@Suite struct BundleTests {
    private static let passwd = [
        "root:x:0:0:root:/root:/bin/sh", "app:x:1000:1001:App:/srv/app:/bin/sh", "broken:x",
        "42:x:77:78::/seven:/bin/sh",
    ]
    private static let group = ["root:x:0:", "app:x:1001:", "adm:x:4:app,other", "wheel:x:10:root"]

    @Test(arguments: [
        ("", 0, 0, [10], "/root"), ("app", 1000, 1001, [4], "/srv/app"),
        ("1000", 1000, 1001, [4], "/srv/app"),
        ("app:adm", 1000, 4, [], "/srv/app"), ("app:99", 1000, 99, [], "/srv/app"),
        ("5000", 5000, 0, [], "/"),
        ("5000:5001", 5000, 5001, [], "/"), ("42", 77, 78, [], "/seven"), ("root", 0, 0, [10], "/root"),
    ])
    func usersBecomeNumbers(
        _ text: String, _ uid: UInt32, _ gid: UInt32, _ more: [UInt32], _ home: String
    ) throws {
        let user = try UserResolution(text, passwd: Self.passwd, group: Self.group)
        #expect(user.uid == uid && user.gid == gid && user.additionalGids == more && user.home == home)
    }

    @Test(arguments: ["nobody", "broken", "4294967295", "-1", "app:nogroup"])
    func unknownUsersAreRefused(_ text: String) {
        #expect(throws: MountsError.self) {
            try UserResolution(text, passwd: Self.passwd, group: Self.group)
        }
    }

    @Test(arguments: ["/a", "a:/b", "/a:b", "/a:/b:rx", "/a:/b:ro:x", "/a:/", "/a:/b/../c"])
    func badMountsAreRefused(_ text: String) {
        #expect(throws: MountsError.self) { try BundleOptions.HostMount(parsing: text) }
    }

    private func configuration(_ edit: (inout ImageConfiguration.Execution) -> Void) -> ImageConfiguration {
        var configuration = ImageConfiguration(platform: Platform(os: "linux", architecture: "amd64"))
        var execution = ImageConfiguration.Execution()
        edit(&execution)
        configuration.config = execution
        return configuration
    }

    @Test func theImageAndTheCommandLineMakeTheBundle() throws {
        let directory = try TestDirectory()
        let (root, bundle) = (try directory.make("root"), try directory.make("bundle"))
        try Directories.create(root + "/etc")
        try File(open: root + "/etc/passwd", O_WRONLY | O_CREAT).write(
            Array(Self.passwd.joined(separator: "\n").utf8), at: 0)
        let image = configuration {
            $0.entrypoint = ["/entry"]
            $0.command = ["default"]
            $0.environment = ["PATH=/bin", "A=1", "B=2"]
            $0.user = "app"
            $0.workingDirectory = "/work/../data/x"
        }
        var options = BundleOptions()
        options.command = ["given"]
        options.environment = ["A=3"]
        options.terminal = true
        options.network = .none
        options.mounts = [try BundleOptions.HostMount(parsing: "/etc:/host-etc:ro")]
        let made = try Bundle(
            directory: bundle, root: root, identifier: "one", configuration: image, options: options)
        try made.write()
        let bytes = try File.small(bundle + "/config.json")
        let read = try JSONDecoder().decode(RuntimeSpecification.self, from: Data(bytes))
        #expect(read == made.specification)
        #expect(read.process.args == ["/entry", "given"] && read.process.cwd == "/data/x")
        #expect(
            read.process.env == ["HOSTNAME=one", "TERM=xterm", "HOME=/srv/app", "PATH=/bin", "B=2", "A=3"])
        #expect(read.process.user.uid == 1000 && read.process.capabilities.effective.isEmpty)
        #expect(read.linux.namespaces.contains(.init(type: "network")) && read.hostname == "one")
        #expect(
            read.mounts.last
                == .init(
                    destination: "/host-etc", type: "bind", source: "/etc",
                    options: ["rbind", "rprivate", "ro"]))
        #expect(Directories.exists(root + "/data/x"))
        #expect(try File.small(bundle + "/hostname") == Array("one\n".utf8))
        options.entrypoint = "/other"
        options.command = []
        #expect(try Bundle.arguments(image.config ?? .init(), options) == ["/other"])
        #expect(throws: MountsError.noCommand) { try Bundle.arguments(.init(), BundleOptions()) }
    }

    @Test func linksOfAnImageStayInside() throws {
        let directory = try TestDirectory()
        let (root, outside) = (try directory.make("root"), try directory.make("outside"))
        try Directories.create(root + "/etc")
        try File(open: outside + "/passwd", O_WRONLY | O_CREAT).write(
            Array("evil:x:1:1::/:/bin/sh".utf8), at: 0)
        #expect(symlink(outside + "/passwd", root + "/etc/passwd") == 0)
        #expect(symlink("../../../../../.." + outside, root + "/link") == 0)
        #expect(mkfifo(root + "/etc/group", 0o600) == 0)
        var options = BundleOptions()
        options.command = ["x"]
        options.user = "evil"
        #expect(throws: MountsError.unknownUser("evil")) { try self.make(directory, root, options) }
        options.user = nil
        options.workingDirectory = "/link/made"
        #expect(throws: MountsError.self) { try self.make(directory, root, options) }
        #expect(try Directories.names(in: outside) == ["passwd"])
        options.workingDirectory = "/plain/made"
        try make(directory, root, options)
        #expect(Directories.exists(root + "/plain/made"))
    }

    private func make(_ directory: TestDirectory, _ root: String, _ options: BundleOptions) throws {
        _ = try Bundle(
            directory: directory.path, root: root, identifier: "x", configuration: configuration { _ in },
            options: options)
    }

    @Test func runcRunsTheBundle() throws {
        let directory = try TestDirectory()
        let (root, bundle) = (try directory.make("root"), try directory.make("bundle"))
        #expect(chmod(root, 0o755) == 0)
        for name in ["etc", "proc", "dev", "sys", "usr", "tmp"] {
            try Directories.create(root + "/" + name, mode: 0o755)
        }
        // The host's programs, as they lie on a system with a merged /usr.
        for name in ["bin", "sbin", "lib", "lib64"] {
            #expect(symlink("usr/" + name, root + "/" + name) == 0)
        }
        var options = BundleOptions()
        options.mounts = [try BundleOptions.HostMount(parsing: "/usr:/usr:ro")]
        options.environment = ["GREETING=hello"]
        options.user = "12:34"
        options.workingDirectory = "/made/here"
        options.command = [
            "/bin/sh", "-c",
            "echo $GREETING $(id -u):$(id -g) $(pwd) $(cat /etc/hostname); cat /proc/1/comm; exit 7",
        ]
        let identifier = "test-\(getpid())"
        try Bundle(
            directory: bundle, root: root, identifier: identifier, configuration: configuration { _ in },
            options: options
        ).write()
        let runtime = try Runtime.find(runDirectory: directory.path)
        defer { _ = try? Subprocess.run(runtime.delete(id: identifier, force: true)) }
        let result = try Subprocess.run(["timeout", "60"] + runtime.run(id: identifier, bundle: bundle))
        #expect(result.output == "hello 12:34 /made/here \(identifier)\nsh\n", "\(result.errors)")
        #expect(result.status == 7)
    }

    @Test func aMissingRuntimeIsAClearError() throws {
        let directory = try TestDirectory()
        let error = mountsError { _ = try Runtime.find(runDirectory: "/run", searchPath: directory.path) }
        #expect(error == .noRuntime(searched: directory.path))
        let crun = directory.path + "/crun"
        try File(open: crun, O_WRONLY | O_CREAT, mode: 0o755).write(Array("#!/bin/sh\n".utf8), at: 0)
        let found = try Runtime.find(runDirectory: "/run/slacker", searchPath: directory.path)
        #expect(found == Runtime(path: crun, stateDirectory: "/run/slacker/runc"))
        #expect(
            found.kill(id: "a", signal: "TERM") == [crun, "--root", "/run/slacker/runc", "kill", "a", "TERM"])
    }
}
