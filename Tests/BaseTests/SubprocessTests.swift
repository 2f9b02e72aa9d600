// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite struct SubprocessTests {
    @Test func keepsBothStreamsApart() throws {
        let result = try Subprocess.run(["sh", "-c", "echo out; echo err >&2"])
        #expect(result.output == "out\n")
        #expect(result.errors == "err\n")
        #expect(result.succeeded)
    }

    @Test(arguments: [0, 1, 42, 255])
    func passesTheStatusOn(status: Int32) throws {
        let result = try Subprocess.run(["sh", "-c", "exit \(status)"])
        #expect(result.status == status)
        #expect(result.succeeded == (status == 0))
    }

    @Test(arguments: [SIGTERM, SIGKILL, SIGSEGV])
    func countsASignalAsShellsDo(signal: Int32) throws {
        #expect(try Subprocess.run(["sh", "-c", "kill -\(signal) $$"]).status == 128 + signal)
    }

    @Test func argumentsAreNotParsedAgain() throws {
        let odd = "a b'c\"d$e\\n*"
        #expect(try Subprocess.run(["printf", "%s", odd]).output == odd)
    }

    @Test func aMissingProgramIsNamed() throws {
        let error = try failure { () throws(SystemError) in _ = try Subprocess.run(["no-such-program-here"]) }
        #expect(error.code == ENOENT)
        #expect(error.subject == "no-such-program-here")
    }

    /// Far more than a pipe holds, on both streams at once: a reader of one after the other would hang.
    @Test(.timeLimit(.minutes(1))) func neverBlocksOnFullPipes() throws {
        let script = "head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2"
        let result = try Subprocess.run(["sh", "-c", script])
        #expect(result.succeeded)
        #expect(result.output.utf8.count >= Subprocess.outputLimitBytes)
        #expect(result.output.utf8.count < Subprocess.outputLimitBytes + 70_000)
        #expect(result.errors.utf8.count < Subprocess.outputLimitBytes + 70_000)
        #expect(result.errors.utf8.allSatisfy { $0 == UInt8(ascii: "y") })
    }

    @Test func standardInputIsEmpty() throws {
        #expect(try Subprocess.run(["cat"]).output == "")
    }

    @Test func descriptorsDoNotLeakIntoTheChild() throws {
        let directory = try TemporaryDirectory()
        let file = try File(open: try directory.file("open"), O_RDONLY)
        let listing = try Subprocess.run(["readlink", "/proc/self/fd/\(file.fd)"])
        #expect(!listing.output.contains(directory.path))
    }

    @Test func aBlockedSignalOfTheParentIsNotBlockedInTheChild() throws {
        let status = Lock<Int32>(-1)
        let thread = try NamedThread("blocks-signals") {
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGTERM)
            pthread_sigmask(SIG_BLOCK, &signals, nil)
            let result = try? Subprocess.run(["sh", "-c", "kill -TERM $$; exit 3"])
            status.withLock { $0 = result?.status ?? -2 }
        }
        thread.join()
        #expect(status.withLock { $0 } == 128 + SIGTERM)
    }

    @Test func spawnGivesTheChildItsInput() throws {
        let directory = try TemporaryDirectory()
        let input = try File(open: try directory.file("in", "hello"), O_RDONLY)
        let output = try File(open: try directory.file("out"), O_WRONLY)
        let child = try Subprocess.spawn(["cat"], input: input.fd, output: output.fd, errors: 2)
        #expect(try Subprocess.wait(for: child, "cat") == 0)
        #expect(try directory.text(of: "out") == "hello")
    }

    @Test func waitingForAStrangerFails() throws {
        let error = try failure { () throws(SystemError) in _ = try Subprocess.wait(for: 1, "init") }
        #expect(error.code == ECHILD)
    }
}
