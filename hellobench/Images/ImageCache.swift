// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where images and what they are made of are kept between runs.
struct ImageCache {
    let directory: String

    /// - Parameter directory: nil for the user's usual place.
    init(_ directory: String? = nil) throws(BenchError) {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let home = variable("HOME") ?? "/root"
        let cache = variable("SLACKER_CACHE") ?? (variable("XDG_CACHE_HOME") ?? home + "/.cache") + "/slacker"
        self.directory = directory ?? cache + "/images/hellobench"
        for folder in ["", "/trees", "/layers", "/layouts", "/packages", "/lists"] {
            try Files.makeDirectories(self.directory + folder)
        }
    }

    /// What a layer adds to those below it, as overlayfs keeps it.
    func tree(_ key: String) -> String { directory + "/trees/" + key }
    /// The layer as registries keep it.
    func blob(_ key: String) -> String { directory + "/layers/" + key + ".tar.gz" }
    /// Digests and sizes of the layer; there only when the layer is complete.
    func facts(_ key: String) -> String { directory + "/layers/" + key + ".json" }
    func layout(_ name: String) -> String { directory + "/layouts/" + name }
    /// Debian's packages, as they were fetched.
    var packages: String { directory + "/packages" }
    /// Which packages there are, as apt keeps it.
    var lists: String { directory + "/lists" }
    /// What a registry of ours serves.
    var registry: String { directory + "/registry" }

    /// Keeps others from building in the same place until the result is dropped.
    func lock() throws(BenchError) -> CacheLock {
        try CacheLock(directory + "/lock")
    }
}

/// An exclusive lock on a file.
final class CacheLock {
    private let descriptor: Int32

    init(_ path: String) throws(BenchError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor < 0 { throw .last("open", path) }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
        Terminal.note("\(path): waiting for another build to end")
        while flock(descriptor, LOCK_EX | LOCK_NB) < 0 {
            if errno != EWOULDBLOCK && errno != EINTR { throw .last("flock", path) }
            try Interrupt.check()
            usleep(200_000)
        }
    }

    deinit { close(descriptor) }
}
