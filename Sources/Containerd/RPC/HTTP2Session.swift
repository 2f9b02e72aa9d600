// SPDX-License-Identifier: Apache-2.0

import CNghttp2

/// One side of an HTTP/2 connection: bytes in, bytes out, streams between; no I/O of its own.
///
/// For one thread.
final class HTTP2Session {
    typealias Headers = [(name: String, value: String)]

    /// What a stream brought, once it has ended.
    struct Incoming {
        var headers: Headers = []
        var body: [UInt8] = []

        /// The last of several counts.
        subscript(name: String) -> String? { headers.last { $0.name == name }?.value }
    }

    enum Event {
        /// The other side has sent all of it.
        case complete(Int32, Incoming)
        /// Nothing comes or goes on the stream any more; after an end in peace too.
        case closed(Int32)
    }

    private struct Outgoing {
        var body: [UInt8]
        var sent = 0
        /// Header fields behind the body.
        var trailers: Headers
    }

    /// Streams that the other side may have open at the same time.
    private static let maximumStreams: UInt32 = 128

    private var session: OpaquePointer?
    private var incoming: [Int32: Incoming] = [:]
    private var outgoing: [Int32: Outgoing] = [:]
    private var events: [Event] = []

    init(isServer: Bool) throws(RPCStatus) {
        var callbacks: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0 else { throw Self.noMemory }
        defer { nghttp2_session_callbacks_del(callbacks) }
        Self.setCallbacks(callbacks)
        let me = Unmanaged.passUnretained(self).toOpaque()
        let made =
            isServer
            ? nghttp2_session_server_new(&session, callbacks, me)
            : nghttp2_session_client_new(&session, callbacks, me)
        guard made == 0 else { throw Self.noMemory }
        var settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                value: Self.maximumStreams)
        ]
        nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), &settings, settings.count)
    }

    deinit { nghttp2_session_del(session) }

    private static let noMemory = RPCStatus(.resourceExhausted, "no memory for a connection")

    // MARK: Bytes

    /// False when the other side breaks the rules, or both sides are done: the connection is to be closed.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let base = bytes.bindMemory(to: UInt8.self).baseAddress
        return nghttp2_session_mem_recv(session, base, bytes.count) >= 0
    }

    /// Bytes to send, in pieces until none is left.
    func nextOutput(_ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        while true {
            var start: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &start)
            if count < 0 { return false }
            if count == 0 { return true }
            if !body(UnsafeRawBufferPointer(start: start, count: count)) { return false }
        }
    }

    var isDone: Bool {
        nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    func takeEvents() -> [Event] {
        defer { events = [] }
        return events
    }

    // MARK: Streams

    /// - Returns: the number of the stream; nil when the connection takes no more.
    func request(_ headers: Headers, body: [UInt8]) -> Int32? {
        let stream = Self.withFields(headers) { fields, count -> Int32 in
            var provider = Self.provider()
            return nghttp2_submit_request(session, nil, fields, count, &provider, nil)
        }
        if stream < 0 { return nil }
        outgoing[stream] = Outgoing(body: body, trailers: [])
        return stream
    }

    /// A stream that is gone by now is passed over.
    func respond(_ stream: Int32, _ headers: Headers, body: [UInt8], trailers: Headers) {
        guard incoming[stream] != nil else { return }
        Self.withFields(headers) { fields, count in
            if trailers.isEmpty {
                _ = nghttp2_submit_response(session, stream, fields, count, nil)
            } else {
                outgoing[stream] = Outgoing(body: body, trailers: trailers)
                var provider = Self.provider()
                _ = nghttp2_submit_response(session, stream, fields, count, &provider)
            }
        }
    }

    func cancel(_ stream: Int32) {
        nghttp2_submit_rst_stream(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, NGHTTP2_CANCEL.rawValue)
    }

    /// Calls the body with fields that point into one buffer, valid inside it only.
    private static func withFields<T>(
        _ headers: Headers, _ body: (UnsafePointer<nghttp2_nv>?, Int) -> T
    ) -> T {
        var bytes: [UInt8] = []
        for header in headers {
            bytes += header.name.utf8
            bytes += header.value.utf8
        }
        return bytes.withUnsafeMutableBufferPointer { buffer in
            var fields: [nghttp2_nv] = []
            var place = buffer.baseAddress
            for header in headers {
                let (name, value) = (header.name.utf8.count, header.value.utf8.count)
                fields.append(
                    nghttp2_nv(
                        name: place, value: place?.advanced(by: name), namelen: name, valuelen: value,
                        flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
                place = place?.advanced(by: name + value)
            }
            return fields.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
        }
    }

    // MARK: Callbacks

    private static func me(_ data: UnsafeMutableRawPointer?) -> HTTP2Session? {
        data.map { Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func provider() -> nghttp2_data_provider {
        nghttp2_data_provider(source: nghttp2_data_source()) { _, stream, buffer, length, flags, _, data in
            HTTP2Session.me(data)?.read(
                stream, UnsafeMutableRawBufferPointer(start: buffer, count: length), flags)
                ?? Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
    }

    private func read(
        _ stream: Int32, _ buffer: UnsafeMutableRawBufferPointer, _ flags: UnsafeMutablePointer<UInt32>?
    ) -> Int {
        guard let part = outgoing[stream] else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
        let count = min(buffer.count, part.body.count - part.sent)
        buffer.copyBytes(from: part.body[part.sent..<part.sent + count])
        outgoing[stream]?.sent += count
        if part.sent + count < part.body.count { return count }
        flags?.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if part.trailers.isEmpty { return count }
        flags?.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
        Self.withFields(part.trailers) { fields, number in
            _ = nghttp2_submit_trailer(session, stream, fields, number)
        }
        return count
    }

    private static func setCallbacks(_ callbacks: OpaquePointer?) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, data in
            guard let frame, let me = HTTP2Session.me(data) else { return 0 }
            if me.incoming[frame.pointee.hd.stream_id] == nil {
                me.incoming[frame.pointee.hd.stream_id] = Incoming()
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, _, data in
            guard let frame, let name, let value, let me = HTTP2Session.me(data) else { return 0 }
            let field = (
                name: String(decoding: UnsafeBufferPointer(start: name, count: nameCount), as: UTF8.self),
                value: String(decoding: UnsafeBufferPointer(start: value, count: valueCount), as: UTF8.self)
            )
            me.incoming[frame.pointee.hd.stream_id]?.headers.append(field)
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, stream, bytes, count, data in
            guard let bytes, let me = HTTP2Session.me(data) else { return 0 }
            me.append(stream, UnsafeBufferPointer(start: bytes, count: count))
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, data in
            guard let frame, let me = HTTP2Session.me(data) else { return 0 }
            me.received(frame.pointee.hd)
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, _, data in
            guard let me = HTTP2Session.me(data) else { return 0 }
            me.incoming[stream] = nil
            me.outgoing[stream] = nil
            me.events.append(.closed(stream))
            return 0
        }
    }

    private func append(_ stream: Int32, _ bytes: UnsafeBufferPointer<UInt8>) {
        guard let count = incoming[stream]?.body.count else { return }
        if count + bytes.count > RPCBody.limitBytes { return cancel(stream) }
        incoming[stream]?.body.append(contentsOf: bytes)
    }

    private func received(_ frame: nghttp2_frame_hd) {
        let isPart =
            frame.type == UInt8(NGHTTP2_HEADERS.rawValue) || frame.type == UInt8(NGHTTP2_DATA.rawValue)
        guard isPart, frame.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0,
            let whole = incoming[frame.stream_id]
        else { return }
        events.append(.complete(frame.stream_id, whole))
    }
}
