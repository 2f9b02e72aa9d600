// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Daemon
import Glibc

/// Starts a daemon in the background and waits until it serves.
struct DaemonStarter {
    /// What came of a start.
    enum Outcome {
        case started
        /// Another daemon serves these directories.
        case other
    }

    private let places: Places
    private let file: String?
    private let settings: [String]

    /// Seconds that a daemon may take to start; checking a big store after a power cut takes the most.
    private static let limitSeconds = 120.0
    /// Seconds that a keeper has to bring a daemon back.
    private static let keeperSeconds = 20.0

    /// - Parameters:
    ///   - file: the configuration file that was named, absolute; the daemon gets the environment anyway.
    ///   - settings: `section.name=value`.
    init(_ places: Places, file: String?, settings: [String] = []) {
        self.places = places
        self.file = file
        self.settings = settings
    }

    /// Returns once a daemon listens.
    ///
    /// Another client may have started one at the same moment: then that one serves.
    /// - Parameter replacing: takes the place of one that listens.
    @discardableResult
    func start(replacing: Bool = false) throws(Failure) -> Outcome {
        let reader: OwnedFD
        do throws(SystemError) { reader = try spawn(replacing) } catch {
            throw Failure(.failed, "daemon: cannot be started: \(error)")
        }
        let patience = Patience("starting the daemon")
        defer { patience.end() }
        let word = try readWord(reader.raw)
        switch word {
        case DaemonProcess.readyWord: return .started
        case DaemonProcess.busyWord:
            try waitForOther()
            return .other
        case "": throw Failure(.failed, "daemon: ended while it started; its log is \(places.log)")
        default: throw Failure(.failed, word)
        }
    }

    /// What starts a daemon in the foreground.
    func command() -> [String] {
        ["/proc/self/exe"] + (file.map { ["--config", $0] } ?? [])
            + ["--root", places.root, "--run", places.run, "daemon", "--foreground"]
            + settings.flatMap { ["--set", $0] }
    }

    /// The daemon writes one line when it serves, or why it does not; its end closes the pipe.
    private func spawn(_ replacing: Bool) throws(SystemError) -> OwnedFD {
        try Directories.create(places.run)
        let log = try OwnedFD(open: places.log, O_WRONLY | O_CREAT | O_APPEND)
        var ends: [Int32] = [0, 0]
        if pipe2(&ends, O_CLOEXEC) < 0 { throw SystemError.last("pipe2", "pipe") }
        let reader = OwnedFD(taking: ends[0])
        let writer = OwnedFD(taking: ends[1])
        let arguments = command() + ["--ready-fd", "3"] + (replacing ? ["--replace"] : [])
        _ = try Subprocess.spawn(
            arguments, output: log.raw, errors: log.raw, extra: [writer.raw], newSession: true)
        return reader
    }

    private func readWord(_ reader: Int32) throws(Failure) -> String {
        let deadline = MonotonicTime.now.advanced(bySeconds: Self.limitSeconds)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.last != UInt8(ascii: "\n") {
            var waiting = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            let left = Int32(max(0, deadline.seconds(since: .now) * 1000))
            if retrying({ poll(&waiting, 1, left) }) == 0 {
                throw Failure(
                    .failed, "daemon: not ready after \(Int(Self.limitSeconds)) s; its log is \(places.log)")
            }
            let count = retrying { read(reader, &buffer, buffer.count) }
            if count <= 0 { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// Waits for a daemon that the keeper brings back.
    ///
    /// Errors: `.unavailable` where nobody keeps anything.
    func waitIfKept() throws(Failure) {
        guard KeeperPresence.isThere(places) else {
            throw Failure(.unavailable, "\(places.socket): no daemon runs; start one with 'slacker daemon'")
        }
        try waitForOther(seconds: Self.keeperSeconds)
    }

    /// Returns once a daemon listens: one that the keeper starts again, or one that this starts.
    func startUnlessKept() throws(Failure) {
        if KeeperPresence.isThere(places) {
            do throws(Failure) { return try waitForOther(seconds: Self.keeperSeconds) } catch {}
        }
        try start()
    }

    private func waitForOther(seconds: Double = limitSeconds) throws(Failure) {
        let deadline = MonotonicTime.now.advanced(bySeconds: seconds)
        while MonotonicTime.now < deadline {
            let client = ControlClient(places, expectedRoot: nil, startDaemon: nil)
            if (try? client.call("GET", "status", as: StatusInfo.self)) != nil {
                return
            }
            usleep(20_000)
        }
        throw Failure(
            .failed, "\(places.run): another daemon holds it but does not answer; its log is \(places.log)")
    }
}
