// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// Sends a large object in parts, several at a time; the store shows it only when it is complete.
struct S3Upload {
    let client: S3Client
    let key: String
    let file: File
    let sizeBytes: UInt64
    let partBytes: UInt64

    private static let threads = 4
    /// The store's limit on the number of parts.
    private static let maximumParts: UInt64 = 10_000

    private struct Progress {
        var nextPart = 0
        var etags: [String?]
        var failure: ChunkStoreError?
    }

    /// Leaves nothing behind when it fails, as far as the store can still be reached.
    func run() throws(ChunkStoreError) {
        let response = try client.perform(.init(method: "POST", key: key, query: [("uploads", "")]))
        guard response.isSuccess, let upload = XMLText.element("UploadId", in: response.body) else {
            throw client.failure(response, key)
        }
        do throws(ChunkStoreError) {
            try complete(upload, try sendParts(upload))
        } catch {
            // The first failure is the one to report; parts that stay cost the owner of the bucket money.
            _ = try? client.perform(.init(method: "DELETE", key: key, query: [("uploadId", upload)]))
            throw error
        }
    }

    private func sendParts(_ upload: String) throws(ChunkStoreError) -> [String] {
        let size = max(partBytes, (sizeBytes + Self.maximumParts - 1) / Self.maximumParts)
        let count = Int((sizeBytes + size - 1) / size)
        let progress = Lock(Progress(etags: Array(repeating: nil, count: count)))
        let work: @Sendable () -> Void = {
            while let part = Self.take(progress) {
                let begin = UInt64(part) * size
                do throws(ChunkStoreError) {
                    let etag = try send(part, begin..<min(begin + size, sizeBytes), upload)
                    progress.withLock { $0.etags[part] = etag }
                } catch {
                    progress.withLock { $0.failure = $0.failure ?? error }
                }
            }
        }
        // Where no thread can be had the caller's own does all the work.
        let helpers = (1..<min(Self.threads, count)).compactMap { _ in try? NamedThread("s3-upload", work) }
        work()
        for helper in helpers { helper.join() }
        return try progress.withLock { (state) throws(ChunkStoreError) in
            if let failure = state.failure { throw failure }
            return state.etags.compactMap(\.self)
        }
    }

    private static func take(_ progress: Lock<Progress>) -> Int? {
        progress.withLock { state in
            if state.failure != nil || state.nextPart == state.etags.count { return nil }
            defer { state.nextPart += 1 }
            return state.nextPart
        }
    }

    private func send(
        _ part: Int, _ range: Range<UInt64>, _ upload: String
    ) throws(ChunkStoreError) -> String {
        let digest: Digest
        do throws(SystemError) { digest = try FileDigest.of(file, range) } catch {
            throw ChunkStoreError(error)
        }
        let response = try client.perform(
            .init(
                method: "PUT", key: key, query: [("partNumber", String(part + 1)), ("uploadId", upload)],
                body: .file(file, offset: range.lowerBound, count: UInt64(range.count)),
                payloadHash: digest.hex))
        guard response.isSuccess, let etag = response.header("etag") else {
            throw client.failure(response, key)
        }
        return etag
    }

    private func complete(_ upload: String, _ etags: [String]) throws(ChunkStoreError) {
        var text = "<CompleteMultipartUpload>"
        for (index, etag) in etags.enumerated() {
            let escaped = etag.split(separator: "&", omittingEmptySubsequences: false).joined(
                separator: "&amp;"
            )
            .split(separator: "<", omittingEmptySubsequences: false).joined(separator: "&lt;")
            text += "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(escaped)</ETag></Part>"
        }
        let body = Array((text + "</CompleteMultipartUpload>").utf8)
        let response = try client.perform(
            .init(
                method: "POST", key: key, query: [("uploadId", upload)],
                headers: [("Content-Type", "text/xml")],
                body: .bytes(body), payloadHash: Digest(hashing: body).hex))
        // The store may say that it failed under the status of success; and one that says it knows no such
        // upload has perhaps completed it when it was asked before and the answer got lost.
        let isRefused = XMLText.element("Code", in: response.body.prefix(8192)) != nil
        if response.isSuccess, !isRefused { return }
        let head = try client.perform(.init(method: "HEAD", key: key))
        if head.status == 200, head.header("content-length") == String(sizeBytes) { return }
        throw client.failure(response, key)
    }
}
