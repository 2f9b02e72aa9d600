// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import CLinux
import ChunkStore
import Glibc
import Volumes

/// Answers READ requests with segments: by splice, or by pread into a buffer of the thread.
///
/// A splice saves one copy and costs a few more system calls; the limits below are measured, see
/// docs/decisions/0002-fuse-answers.md.
final class ReadReplies: Sendable {
    /// Answers up to this length go through the thread's buffer.
    static let bufferedBytes = 8192
    /// Buffers that an answer of many small segments may have before it goes through the thread's buffer.
    static let spliceSegments = 8

    /// Longest answer whose pipe the kernel lets us have.
    private let spliceBytes: Int

    init() {
        spliceBytes = Self.pipeLimitBytes()
    }

    /// Answers with the bytes of the segments, in order, unless some are absent: then it returns what is.
    ///
    /// They must stay valid until this returns.
    func send(
        _ request: fuse_req_t, _ view: SegmentView, _ memory: UnsafeMutablePointer<ThreadMemory.Content>
    ) -> AbsentBlocks? {
        let segments = view.segments
        var total = 0
        var fileCount = 0
        for segment in segments {
            total += segment.byteCount
            switch segment.source {
            case .zeros: break
            case .file: fileCount += 1
            case .absent:
                if let absent = view.absentBlocks() { return absent }
                fuse_reply_err(request, EIO)
                return nil
            }
        }
        if total > Int(Server.maximumReadBytes) {
            fuse_reply_err(request, EIO)
        } else if total == 0 || fileCount == 0 {
            fuse_reply_buf(request, Self.zeros, total)
        } else if total > Self.bufferedBytes && segments.count <= Self.spliceSegments
            && total + (segments.count + 2) * 4096 <= spliceBytes
        {
            splice(request, segments)
        } else {
            copy(request, segments, total, memory)
        }
        return nil
    }

    private func splice(_ request: fuse_req_t, _ segments: UnsafeBufferPointer<Segment>) {
        let storage = (MemoryLayout<fuse_bufvec>.size + Self.spliceSegments * MemoryLayout<fuse_buf>.size)
        withUnsafeTemporaryAllocation(byteCount: storage, alignment: 16) { memory in
            guard let vector = memory.baseAddress?.assumingMemoryBound(to: fuse_bufvec.self) else { return }
            slk_bufvec_reset(vector)
            for segment in segments {
                switch segment.source {
                case .zeros: slk_bufvec_add_memory(vector, Self.zeros, segment.byteCount)
                case .file(let descriptor, let offset):
                    slk_bufvec_add_file(vector, descriptor, off_t(offset), segment.byteCount)
                case .absent: break  // refused above
                }
            }
            fuse_reply_data(request, vector, fuse_buf_copy_flags(0))
        }
    }

    private func copy(
        _ request: fuse_req_t, _ segments: UnsafeBufferPointer<Segment>, _ total: Int,
        _ memory: UnsafeMutablePointer<ThreadMemory.Content>
    ) {
        guard let buffer = buffer(memory) else {
            fuse_reply_err(request, ENOMEM)
            return
        }
        var filled = 0
        for segment in segments {
            switch segment.source {
            case .zeros: memset(buffer + filled, 0, segment.byteCount)
            case .file(let descriptor, let offset):
                var done = 0
                while done < segment.byteCount {
                    let count = retrying {
                        pread(
                            descriptor, buffer + filled + done, segment.byteCount - done, off_t(offset) + done
                        )
                    }
                    if count <= 0 {
                        fuse_reply_err(request, count < 0 ? errno : EIO)
                        return
                    }
                    done += count
                }
            case .absent: break  // refused above
            }
            filled += segment.byteCount
        }
        fuse_reply_buf(request, buffer.assumingMemoryBound(to: CChar.self), total)
    }

    private func buffer(_ memory: UnsafeMutablePointer<ThreadMemory.Content>) -> UnsafeMutableRawPointer? {
        if let buffer = memory.pointee.buffer { return buffer }
        var buffer: UnsafeMutableRawPointer?
        guard posix_memalign(&buffer, 4096, Int(Server.maximumReadBytes)) == 0 else { return nil }
        memory.pointee.buffer = buffer
        return buffer
    }

    /// Never written, so all of it is the kernel's one page of zeros.
    private nonisolated(unsafe) static let zeros: UnsafePointer<CChar>? = {
        let memory = mmap(
            nil, Int(Server.maximumReadBytes), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else { return nil }
        return UnsafePointer(memory.assumingMemoryBound(to: CChar.self))
    }()

    /// libfuse sizes the pipe of an answer at its length and a page for each buffer.
    ///
    /// Beyond pipe-max-size that takes CAP_SYS_RESOURCE, without which libfuse would fall back to a fresh
    /// buffer for each answer.
    private static func pipeLimitBytes() -> Int {
        var ends: [Int32] = [0, 0]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { return 0 }
        defer { ends.forEach { close($0) } }
        let wanted = 2 * Int(Server.maximumReadBytes)
        var size = wanted
        while size >= 65536 {
            if slk_fcntl_int(ends[0], 1031 /* F_SETPIPE_SZ */, size) >= 0 { return size }
            size /= 2
        }
        return 0
    }
}
