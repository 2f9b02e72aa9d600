// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc
import Logging

/// The life of a daemon as a process: signals, and what it tells the one who started it.
public enum DaemonProcess {
    /// What a daemon tells the one who started it when it serves.
    public static let readyWord = "ready"
    /// What it tells when another daemon holds the run directory already.
    public static let busyWord = "busy"

    /// Serves until SIGTERM or SIGINT; call it on the main thread, before any other thread is made.
    ///
    /// Under a service manager SIGTERM leaves what is mounted to the next daemon, as SIGUSR2 does anywhere.
    /// - Parameter readyDescriptor: gets one line, that it serves or why it cannot; closed afterwards.
    public static func run(_ start: DaemonStart, readyDescriptor: Int32?) throws(Failure) {
        let configuration = start.configuration
        // Blocked here, and so in every thread that is made from now on: one place waits for them.
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR2] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
        // Whatever the daemon makes is root's alone.
        umask(0o077)
        // The directory it was started in may be on a mount that somebody wants to take away.
        if chdir("/") < 0 { throw Failure(SystemError.last("chdir", "/")) }
        Log.bootstrap(level: Logger.Level(rawValue: configuration[Settings.logLevel]) ?? .info)
        // Whatever thread answers, decodes or fetches, it may do so for pages that are being written back to make
        // room: none may wait for that itself. Inherited by all that are made from now on.
        _ = slk_set_io_flusher()
        raiseFileLimit()
        growHeapInLargeSteps()

        let daemon: RunningDaemon
        do { daemon = try RunningDaemon(start) } catch is RunningDaemon.Busy {
            if let readyDescriptor { tell(readyDescriptor, busyWord) }
            let run = configuration.places.run
            throw Failure(.inUse, "\(run): another daemon runs there; stop it or choose another --run")
        } catch {
            let failure = Failure(error)
            if let readyDescriptor { tell(readyDescriptor, failure.message) }
            throw failure
        }
        if let readyDescriptor { tell(readyDescriptor, readyWord) }
        var received: Int32 = 0
        sigwait(&signals, &received)
        Log.logger("daemon").info("ending", metadata: ["signal": "\(received)"])
        if received == SIGUSR2 || (received == SIGTERM && ServiceManager.isPresent) {
            daemon.leave()
        } else {
            daemon.end()
        }
        // At once: threads that serve must not answer the next daemon's requests with half of this one gone.
        _exit(0)
    }

    /// Tells the one who started a daemon one line, and closes the descriptor.
    public static func tell(_ descriptor: Int32, _ text: String) {
        let line = Array((text.split(whereSeparator: \.isNewline).joined(separator: " ") + "\n").utf8)
        _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }

    /// By default a heap grows by a few pages at a time, each with a call that stops all threads that touch new
    /// memory: two hundred of them while a boot pack of 5 MiB comes in.
    private static func growHeapInLargeSteps() {
        _ = mallopt(M_TOP_PAD, 1 << 20)
    }

    /// Connections, arenas and deltas are open files: as many as may be.
    private static func raiseFileLimit() {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(files, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        if setrlimit(files, &limit) < 0 {
            Log.warning(
                "daemon", "open files are limited", ["reason": "\(SystemError.last("setrlimit", "files"))"])
        }
    }
}
