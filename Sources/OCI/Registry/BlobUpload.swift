// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// One blob on its way to a registry.
final class BlobUpload {
    private let repository: Repository
    private let endpoint: Endpoint
    private let digest: Digest
    private let body: UploadBody
    private let group: TransferGroup
    private let progress: @Sendable (UInt64) -> Void
    private let isCancelled: @Sendable () -> Bool
    private var isChunked: Bool
    private var chunkBytes: UInt64
    /// Where the upload that has begun goes on.
    private var location: WebAddress?

    /// Chunks that a registry may demand to be longer than ours go up to this.
    private static let largestChunkBytes: UInt64 = 1 << 30
    /// What is tried after a registry, or a proxy before it, has found a body too long.
    private static let cautiousChunkBytes: UInt64 = 16 << 20

    init(
        _ repository: Repository, _ endpoint: Endpoint, _ digest: Digest, _ body: UploadBody,
        group: TransferGroup, progress: @escaping @Sendable (UInt64) -> Void,
        isCancelled: @escaping @Sendable () -> Bool
    ) {
        self.repository = repository
        self.endpoint = endpoint
        self.digest = digest
        self.body = body
        self.group = group
        self.progress = progress
        self.isCancelled = isCancelled
        isChunked = body.count > repository.settings.monolithicLimitBytes
        chunkBytes = repository.settings.chunkBytes
    }

    func run() throws(OCIError) {
        var retry = Retry(repository.settings, attempts: repository.settings.attempts)
        while true {
            do throws(OCIError) {
                try checkCancelled()
                if isChunked { try sendChunks() } else { try sendWhole() }
                progress(body.count)
                return
            } catch {
                let again = mayTryAgain(after: error)
                if !again || !retry.pause(askedSeconds: nil) {
                    abandon()
                    throw error
                }
            }
        }
    }

    /// After a cut the rest goes in chunks, so that what has arrived need not be sent again.
    private func mayTryAgain(after error: OCIError) -> Bool {
        switch error {
        case .unavailable:
            isChunked = true
            return true
        case .refused(_, let status, _) where status == 413 && chunkBytes > Self.cautiousChunkBytes:
            isChunked = true
            chunkBytes = Self.cautiousChunkBytes
            abandon()
            return true
        case .notFound where location != nil, .refused(_, 416, _) where location != nil:
            // The registry has forgotten the upload, or will not go on with it.
            abandon()
            return true
        default: return false
        }
    }

    // MARK: - In one request

    private func sendWhole() throws(OCIError) {
        let start = try begin()
        var call = Call(
            "PUT", at: start, scopes: repository.pushScope, subject: subject, place: repository.label)
        call.address?.append("digest", "\(digest)")
        call.headers = [("Content-Type", "application/octet-stream")]
        call.body = body
        call.progress = progress
        call.group = group
        call.isRepeatable = false
        let answer = try send(call)
        try finish(answer, call)
    }

    private func begin() throws(OCIError) -> WebAddress {
        if let location { return location }
        var call = Call(
            "POST", "/\(repository.name)/blobs/uploads/", scopes: repository.pushScope, subject: subject,
            place: repository.label)
        call.body = .bytes([])
        let answer = try repository.client.send(call, to: endpoint, repository.settings.attempts)
        if answer.status != 202 { throw repository.client.failure(of: answer, call) }
        guard let place = answer.location else {
            throw .badAnswer(repository.label, reason: "it does not say where to send \(subject)")
        }
        if let text = answer.response.header("oci-chunk-min-length"), let least = UInt64(text) {
            chunkBytes = min(max(chunkBytes, least), Self.largestChunkBytes)
        }
        location = place
        return place
    }

    // MARK: - In chunks

    private func sendChunks() throws(OCIError) {
        var position = try resumedPosition()
        var place = try begin()
        var movesBackLeft = repository.settings.attempts
        while position < body.count {
            try checkCancelled()
            let count = min(chunkBytes, body.count - position)
            let call = chunk(at: position, count, place)
            let answer = try send(call)
            guard answer.response.isSuccess || answer.status == 416 else {
                throw repository.client.failure(of: answer, call)
            }
            place = answer.location ?? place
            location = place
            let before = position
            position = try answer.status == 416 ? storedBytes() : after(answer, position + count)
            if position <= before { movesBackLeft -= 1 }
            if position > body.count || movesBackLeft == 0 {
                throw .badAnswer(repository.label, reason: "it has \(position) bytes of \(subject)")
            }
            progress(position)
        }
        var call = Call(
            "PUT", at: place, scopes: repository.pushScope, subject: subject, place: repository.label)
        call.address?.append("digest", "\(digest)")
        call.body = .bytes([])
        call.isRepeatable = false
        try finish(try send(call), call)
    }

    private func chunk(at position: UInt64, _ count: UInt64, _ place: WebAddress) -> Call {
        var call = Call(
            "PATCH", at: place, scopes: repository.pushScope, subject: subject, place: repository.label)
        call.headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Range", "\(position)-\(position + count - 1)"),
        ]
        call.body = body.part(at: position, count: count)
        call.group = group
        call.isRepeatable = false
        let progress = progress
        call.progress = { progress(position + $0) }
        return call
    }

    /// Where the upload stands that was cut; one that the registry cannot take up again is begun anew.
    private func resumedPosition() throws(OCIError) -> UInt64 {
        do throws(OCIError) { return try storedBytes() } catch {
            switch error {
            case .notFound, .refused, .badAnswer:
                abandon()
                return 0
            default: throw error
            }
        }
    }

    /// Bytes that the registry has after a chunk.
    private func after(_ answer: Answer, _ sent: UInt64) -> UInt64 {
        let told = Self.stored(answer) ?? sent
        // "0-0" is said of no byte as well as of one.
        return told == 0 && sent == 1 ? 1 : told
    }

    /// Asks how much of the blob has arrived.
    private func storedBytes() throws(OCIError) -> UInt64 {
        guard let location else { return 0 }
        let call = Call(
            "GET", at: location, scopes: repository.pushScope, subject: subject, place: repository.label)
        let answer = try repository.client.send(call, to: endpoint, repository.settings.attempts)
        if !answer.response.isSuccess { throw repository.client.failure(of: answer, call) }
        self.location = answer.location ?? location
        return Self.stored(answer) ?? 0
    }

    /// From `Range: 0-LAST`; nil when there is none.
    ///
    /// Of no byte `0-0` is said, as of a single one.
    private static func stored(_ answer: Answer) -> UInt64? {
        guard var text = answer.response.header("range")?[...] else { return nil }
        if text.hasPrefix("bytes=") { text = text.dropFirst(6) }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, ends[0] == "0", let last = UInt64(ends[1]), last < .max else { return nil }
        return last == 0 ? 0 : last + 1
    }

    // MARK: - Both

    private var subject: String { "blob \(digest)" }

    private func checkCancelled() throws(OCIError) {
        if isCancelled() { throw .stopped("\(repository.label): \(subject)") }
    }

    /// Once only: what is repeated is the upload, and from where it stands.
    private func send(_ call: Call) throws(OCIError) -> Answer {
        try repository.client.send(call, to: endpoint, 1)
    }

    private func finish(_ answer: Answer, _ call: Call) throws(OCIError) {
        if answer.status != 201, answer.status != 204 { throw repository.client.failure(of: answer, call) }
        if let said = answer.contentDigest, said != digest {
            throw .digestMismatch("\(repository.label): \(subject)", actual: "\(said)")
        }
        location = nil
    }

    private func abandon() {
        guard let place = location else { return }
        location = nil
        repository.cancel(place, endpoint)
    }
}

extension UploadBody {
    func part(at position: UInt64, count part: UInt64) -> UploadBody {
        precondition(position + part <= count)
        return switch self {
        case .bytes(let bytes): .bytes(Array(bytes[Int(position)..<Int(position + part)]))
        case .file(let file, let offset, _): .file(file, offset: offset + position, count: part)
        }
    }
}
