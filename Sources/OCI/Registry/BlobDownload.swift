// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// Reads a blob from its beginning to its end, over as many connections as that takes.
final class BlobDownload: BlobStream {
    private let repository: Repository
    private let descriptor: Descriptor
    private let group: TransferGroup
    private var hasher = DigestHasher()
    private var position: UInt64 = 0
    private var current: BlobTransfer?
    private var retry: Retry
    private var refusals = 0
    private var isVerified = false

    init(_ repository: Repository, _ descriptor: Descriptor, _ group: TransferGroup) {
        self.repository = repository
        self.descriptor = descriptor
        self.group = group
        retry = Retry(repository.settings, attempts: repository.settings.attempts)
    }

    deinit { current?.cancel() }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int {
        if isVerified || buffer.isEmpty { return 0 }
        while position < descriptor.sizeBytes {
            let transfer = if let current { current } else { try start() }
            current = transfer
            switch transfer.read(into: buffer) {
            case .bytes(let count):
                take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                return count
            case .end(let end):
                current = nil
                try recover(from: end)
            }
        }
        try verify()
        return 0
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        hasher.update(bytes)
        position += UInt64(bytes.count)
        // What moves on may go on for as long as it likes.
        retry = Retry(repository.settings, attempts: repository.settings.attempts)
        refusals = 0
    }

    private func verify() throws(OCIError) {
        current?.cancel()
        current = nil
        let digest = hasher.digest()
        if digest != descriptor.digest {
            let error = OCIError.digestMismatch(name, actual: "\(digest)")
            if let endpoint = try? repository.source(of: descriptor.digest) {
                repository.client.health.note(error, from: endpoint)
            }
            repository.invalidate(descriptor.digest, afterStatus: 0)
            throw error
        }
        isVerified = true
    }

    private func start() throws(OCIError) -> BlobTransfer {
        var (request, options) = try repository.blobRequest(descriptor.digest, group: group)
        if position > 0 { options.range = position..<descriptor.sizeBytes }
        // A stream would be taken up anyway; a whole response has no limit here.
        request.totalTimeoutMs = 0
        let transfer = BlobTransfer(
            repository.client.loop, position: position, sizeBytes: descriptor.sizeBytes)
        transfer.start(request, options)
        return transfer
    }

    // MARK: - After an end that came too early

    private func recover(from end: BlobTransfer.End) throws(OCIError) {
        switch end {
        case .complete(let effectiveURL):
            repository.noteRedirect(descriptor.digest, to: effectiveURL)
            // It said that it was done, and was not.
            if position < descriptor.sizeBytes {
                try again(.badAnswer(name, reason: "it ends too early"), nil)
            }
        case .failed(let error):
            let wording = OCIError.unavailable(name, reason: "\(error)")
            guard error.isPassing || isRedirected(error) else { throw wording }
            try again(wording, nil)
        case .status(let response): try recover(from: response)
        case .wrong(let reason): try again(.badAnswer(name, reason: reason), nil)
        }
    }

    private func isRedirected(_ error: HTTPError) -> Bool {
        if case .tls = error { return repository.isRemembered(descriptor.digest) }
        return false
    }

    private func recover(from response: Response) throws(OCIError) {
        let before = try repository.source(of: descriptor.digest).key
        let wasRemembered = repository.isRemembered(descriptor.digest)
        repository.invalidate(descriptor.digest, afterStatus: response.status)
        // Another server, or the registry in place of a storage whose address has grown old.
        let now = try repository.source(of: descriptor.digest).key
        if wasRemembered || now != before { return }
        switch response.status {
        case 401, 403:
            refusals += 1
            if refusals > 1 { try diagnose() }
        case let status where passingStatuses.contains(status):
            let error = OCIError.unavailable(name, reason: "status \(status): \(ErrorBody.text(response))")
            try again(error, RetryAfter.seconds(response))
        default: try diagnose()
        }
    }

    /// Asks once more in the way that explains a refusal; returns when there is none any more.
    private func diagnose() throws(OCIError) {
        var call = Call(
            "GET", repository.blobPath(descriptor.digest), scopes: repository.pullScope,
            subject: "blob \(descriptor.digest)", place: repository.label)
        call.range = 0..<1
        let endpoint = try repository.source(of: descriptor.digest)
        let answer = try repository.client.send(call, to: endpoint, 1)
        if !answer.response.isSuccess { throw repository.client.failure(of: answer, call) }
        if !retry.pause(askedSeconds: nil) {
            throw .badAnswer(name, reason: "the registry gives it and refuses it by turns")
        }
    }

    private func again(_ error: OCIError, _ askedSeconds: Double?) throws(OCIError) {
        // Where there is another server it is asked first; where there is none this changes nothing.
        repository.invalidate(descriptor.digest, afterStatus: 0)
        if !retry.pause(askedSeconds: askedSeconds) { throw error }
    }

    private var name: String { "\(repository.label): blob \(descriptor.digest)" }
}
