// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Remembers under which references block maps of this machine are to be found elsewhere.
///
/// Hints only: whoever uses one asks the other side, and nothing is lost with the file. So it is never
/// flushed, and what cannot be read in it is passed over.
final class ArtifactHints: Sendable {
    /// Lines that are kept, the newest ones.
    private static let limit = 512
    /// Writers of one process follow each other, whichever directory they write to.
    private static let writers = Lock(())

    private let path: String

    /// - Parameters:
    ///   - root: the state directory.
    ///   - name: of the file there.
    init(root: String, name: String = "artifacts") {
        path = root + "/" + name
    }

    private struct Line: Equatable {
        let map: Digest
        let reference: String
    }

    private func lines() -> [Line] {
        guard let file = try? File(open: path, O_RDONLY), let size = try? file.size(), size < 8 << 20,
            let bytes = try? file.read(count: Int(size), at: 0)
        else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count == 2, let map = Digest(hex: fields[0]) else { return nil }
            return Line(map: map, reference: String(fields[1]))
        }
    }

    /// References of a map, the newest first.
    func references(of maps: [Digest]) -> [RemoteReference] {
        let lines = Array(lines().reversed())
        return maps.flatMap { map in
            lines.filter { $0.map == map }.compactMap { try? RemoteReference(parsing: $0.reference) }
        }
    }

    /// References to whatever was last pushed to or pulled from a place.
    func latest(at sourceURI: String, limit: Int) -> [RemoteReference] {
        var found: [RemoteReference] = []
        for line in lines().reversed() where found.count < limit {
            guard let reference = try? RemoteReference(parsing: line.reference),
                reference.sourceURI == sourceURI, !found.contains(reference)
            else { continue }
            found.append(reference)
        }
        return found
    }

    /// Notes that a reference leads to a map.
    func add(_ reference: RemoteReference, for maps: [Digest]) {
        Self.writers.withLock { _ in
            let new = maps.map { Line(map: $0, reference: "\(reference)") }
            let all = (lines().filter { !new.contains($0) } + new).suffix(Self.limit)
            let text = all.map { "\($0.map.hex) \($0.reference)\n" }.joined()
            let temporary = path + ".new"
            do throws(SystemError) {
                let file = try File(open: temporary, O_WRONLY | O_CREAT | O_TRUNC)
                try file.write(Array(text.utf8), at: 0)
                if rename(temporary, path) < 0 { throw SystemError.last("rename", path) }
            } catch {
                Log.warning("push", "where an image lies is not remembered", ["because": "\(error)"])
            }
        }
    }
}
