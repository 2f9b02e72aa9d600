// SPDX-License-Identifier: Apache-2.0

import Base
import CCurl
import Glibc

// What libcurl calls while a transfer runs, and how its bytes reach the receiver.
extension Exchange {
    /// Tells the receiver of the head, before the first byte; false when it wants nothing of it.
    func begin() -> Bool {
        if began != nil { return true }
        guard let handle else { return false }
        var url: UnsafePointer<CChar>?
        slk_curl_get_string(core.api, handle, CURLINFO_EFFECTIVE_URL, &url)
        let head = ResponseHead(
            status: head.status, headers: head.headers,
            effectiveURL: url.map { String(cString: $0) } ?? request.url)
        began = head
        firstByteMs = elapsedMs()
        var version = 0
        slk_curl_get_long(core.api, handle, CURLINFO_HTTP_VERSION, &version)
        isMultiplexed = version >= Int(CURL_HTTP_VERSION_2_0)
        if isMultiplexed { core.noteMultiplexing(self) }
        return receiver.begin(head)
    }

    /// A piece of the body from libcurl; returns what its callback has to.
    fileprivate func take(_ bytes: UnsafeRawBufferPointer) -> Int {
        lastActivity = .now
        if !begin() { return Self.refusal(bytes) }
        if isMultiplexed, !held.isEmpty || isHeldByReceiver || isHeldByLimit { return hold(bytes) }
        switch offer(bytes, lastActivity) {
        case .proceed: return bytes.count
        case .stop: return Self.refusal(bytes)
        case .pause:
            if isMultiplexed { return hold(bytes) }
            isPaused = true
            return Int(CURL_WRITEFUNC_PAUSE)
        }
    }

    /// Any count but the one given ends the transfer with CURLE_WRITE_ERROR.
    private static func refusal(_ bytes: UnsafeRawBufferPointer) -> Int { bytes.count == 0 ? 1 : 0 }

    private func offer(_ bytes: UnsafeRawBufferPointer, _ now: MonotonicTime) -> TransferFlow {
        if !core.throttle.mayMove(self, now) {
            isHeldByLimit = true
            return .pause
        }
        let flow = receiver.receive(bytes)
        switch flow {
        case .proceed:
            bodyBytes += UInt64(bytes.count)
            core.throttle.moved(bytes.count, options.group)
        case .pause: isHeldByReceiver = true
        case .stop: stopReason = .stopped(name)
        }
        return flow
    }

    private func hold(_ bytes: UnsafeRawBufferPointer) -> Int {
        if held.count >= Self.maximumHeldBytes {
            isPaused = true
            return Int(CURL_WRITEFUNC_PAUSE)
        }
        held.append(contentsOf: bytes)
        return bytes.count
    }

    private static let maximumHeldBytes = 8 << 20
    private static let pieceBytes = 64 << 10

    /// Goes on after a pause, as far as nothing holds the transfer; an error ends it.
    func goOn() -> CURLcode {
        if isHeldByReceiver || isHeldByLimit { return CURLE_OK }
        lastActivity = .now
        if !giveHeld() { return CURLE_WRITE_ERROR }
        guard isPaused, held.isEmpty, let handle else { return CURLE_OK }
        isPaused = false
        return core.api.pointee.easy_pause(handle, CURLPAUSE_CONT)
    }

    /// Offers what has been kept back; false when the receiver wants no more.
    private func giveHeld() -> Bool {
        if held.isEmpty { return true }
        var taken = 0
        let pending = held
        let wanted = pending.withUnsafeBytes { all in
            while taken < all.count {
                let piece = UnsafeRawBufferPointer(rebasing: all[taken...].prefix(Self.pieceBytes))
                switch offer(piece, .now) {
                case .proceed: taken += piece.count
                case .pause: return true
                case .stop: return false
                }
            }
            return true
        }
        held.removeFirst(taken)
        return wanted
    }

    /// Fills a buffer with what is to be sent.
    fileprivate func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let now = MonotonicTime.now
        lastActivity = now
        guard let body = uploadBody, uploaded < body.count else { return 0 }
        if !core.throttle.mayMove(self, now) {
            isHeldByLimit = true
            isPaused = true
            return Int(CURL_READFUNC_PAUSE)
        }
        let count = Int(min(UInt64(buffer.count), body.count - uploaded))
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        do throws(SystemError) {
            try read(body, into: part)
        } catch {
            stopReason = .uploadUnreadable(name, reason: "\(error)")
            return Int(CURL_READFUNC_ABORT)
        }
        uploaded += UInt64(count)
        core.throttle.moved(count, options.group)
        options.uploadProgress?(uploaded)
        return count
    }

    private func read(_ body: UploadBody, into part: UnsafeMutableRawBufferPointer) throws(SystemError) {
        switch body {
        case .bytes(let bytes): part.copyBytes(from: bytes[Int(uploaded)...].prefix(part.count))
        case .file(let file, let offset, _):
            // The disk is asked for what comes next, so that the loop seldom waits for it.
            let ahead = off_t(offset + uploaded) + off_t(part.count)
            _ = posix_fadvise(file.fd, ahead, 4 << 20, POSIX_FADV_WILLNEED)
            if try file.read(into: part, at: offset + uploaded) != part.count {
                throw SystemError(EIO, "read", file.path)
            }
        }
    }

    // MARK: callbacks

    private static func of(_ context: UnsafeMutableRawPointer) -> Unmanaged<Exchange> {
        Unmanaged<Exchange>.fromOpaque(context)
    }

    static let takeHeader: slk_curl_write = { bytes, size, count, context in
        guard let bytes, let context else { return 0 }
        return of(context)._withUnsafeGuaranteedRef { exchange in
            exchange.lastActivity = .now
            // Lines after the body are trailers, which nobody asks for.
            if exchange.began != nil { return size * count }
            let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
            return exchange.head.take(line) ? size * count : 0
        }
    }

    static let takeBody: slk_curl_write = { bytes, size, count, context in
        guard let bytes, let context else { return 0 }
        return of(context)._withUnsafeGuaranteedRef {
            $0.take(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
    }

    static let fillUpload: slk_curl_write = { bytes, size, count, context in
        guard let bytes, let context else { return Int(CURL_READFUNC_ABORT) }
        return of(context)._withUnsafeGuaranteedRef {
            $0.fill(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        }
    }

    static let seekUpload: slk_curl_seek = { context, offset, origin in
        guard let context, origin == SEEK_SET, offset >= 0 else { return CURL_SEEKFUNC_CANTSEEK }
        return of(context)._withUnsafeGuaranteedRef {
            $0.uploaded = UInt64(offset)
            return CURL_SEEKFUNC_OK
        }
    }

    static let noteConnected: slk_curl_connected = { context, _, _, _, _ in
        guard let context else { return CURL_PREREQFUNC_OK }
        return of(context)._withUnsafeGuaranteedRef {
            $0.isConnected = true
            $0.lastActivity = .now
            return CURL_PREREQFUNC_OK
        }
    }
}
