// SPDX-License-Identifier: Apache-2.0

import CCurl

/// Makes one request after the other and waits for each; connections are used again.
///
/// For plain threads and the command line: `perform` blocks. A session belongs to one thread at a time.
public final class Session {
    private let api: UnsafePointer<slk_curl>
    private let handle: UnsafeMutableRawPointer

    /// Loads libcurl when this is the first session of the program.
    public init() throws(HTTPError) {
        api = try CurlLibrary.table()
        guard let handle = api.pointee.easy_init() else {
            throw .failed("libcurl", reason: "curl_easy_init: out of memory")
        }
        self.handle = handle
    }

    deinit {
        api.pointee.easy_cleanup(handle)
    }

    /// Sends the request and waits for the whole response.
    /// - Parameter onBody: takes the body of a successful response piece by piece and not kept; false
    ///   stops the transfer with `.stopped`. The body of an error response is kept, for its message.
    public func perform(
        _ request: Request, onBody: ((UnsafeRawBufferPointer) -> Bool)? = nil
    ) throws(HTTPError) -> Response {
        api.pointee.easy_reset(handle)
        let lines = headerLines(of: request)
        defer { api.pointee.slist_free_all(lines) }
        configure(request)
        slk_curl_set_pointer(api, handle, CURLOPT_HTTPHEADER, lines)

        var transfer = Transfer(limitBytes: onBody == nil ? request.responseLimitBytes : 1 << 20)
        let body = request.body ?? []
        let result = withoutActuallyEscaping(onBody ?? { _ in true }) { sink in
            if onBody != nil { transfer.sink = sink }
            defer { transfer.sink = nil }
            return body.withUnsafeBytes { bytes in
                withUnsafeMutablePointer(to: &transfer) { perform($0, request, bytes) }
            }
        }
        if result != CURLE_OK { throw failure(result, request, transfer) }
        return Response(status: transfer.status, headers: transfer.headers, body: transfer.body)
    }

    private func perform(
        _ transfer: UnsafeMutablePointer<Transfer>, _ request: Request, _ body: UnsafeRawBufferPointer
    ) -> CURLcode {
        if request.body != nil {
            slk_curl_set_offset(api, handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
            slk_curl_set_pointer(
                api, handle, CURLOPT_POSTFIELDS, body.baseAddress ?? UnsafeRawPointer(transfer))
        }
        slk_curl_set_write(api, handle, CURLOPT_HEADERFUNCTION, Transfer.takeHeader)
        slk_curl_set_pointer(api, handle, CURLOPT_HEADERDATA, transfer)
        slk_curl_set_write(api, handle, CURLOPT_WRITEFUNCTION, Transfer.takeBody)
        slk_curl_set_pointer(api, handle, CURLOPT_WRITEDATA, transfer)
        // The method is set after the body: a body by itself makes a POST.
        slk_curl_set_string(api, handle, CURLOPT_CUSTOMREQUEST, request.method)
        defer {
            // Nothing of this call may be reached through the handle afterwards.
            slk_curl_set_pointer(api, handle, CURLOPT_WRITEDATA, nil)
            slk_curl_set_pointer(api, handle, CURLOPT_HEADERDATA, nil)
            slk_curl_set_pointer(api, handle, CURLOPT_POSTFIELDS, nil)
        }
        return api.pointee.easy_perform(handle)
    }

    private func configure(_ request: Request) {
        slk_curl_set_string(api, handle, CURLOPT_URL, request.url)
        slk_curl_set_long(api, handle, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeoutMs)
        slk_curl_set_long(api, handle, CURLOPT_TIMEOUT_MS, request.totalTimeoutMs)
        // Timeouts without SIGALRM: sessions live on any thread.
        slk_curl_set_long(api, handle, CURLOPT_NOSIGNAL, 1)
        if let path = request.unixSocketPath {
            slk_curl_set_string(api, handle, CURLOPT_UNIX_SOCKET_PATH, path)
            // Without this a proxy named in the environment would be asked for the local socket.
            slk_curl_set_string(api, handle, CURLOPT_PROXY, "")
        }
        if request.method == "HEAD" { slk_curl_set_long(api, handle, CURLOPT_NOBODY, 1) }
    }

    private func headerLines(of request: Request) -> UnsafeMutablePointer<curl_slist>? {
        // "Expect: 100-continue" would cost a round trip, or a second of waiting with servers that ignore it.
        var lines = api.pointee.slist_append(nil, "Expect:")
        for (name, value) in request.headers {
            lines = api.pointee.slist_append(lines, value.isEmpty ? "\(name);" : "\(name): \(value)") ?? lines
        }
        return lines
    }

    private func failure(_ code: CURLcode, _ request: Request, _ transfer: Transfer) -> HTTPError {
        let name = request.unixSocketPath ?? request.url
        switch code {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST: return .cannotConnect(name)
        case CURLE_OPERATION_TIMEDOUT: return .timedOut(name)
        case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR: return .cutShort(name)
        case CURLE_WRITE_ERROR:
            return transfer.isTooLong ? .bodyTooLong(name, limitBytes: transfer.limitBytes) : .stopped(name)
        default:
            let reason = api.pointee.easy_strerror(code).map { String(cString: $0).lowercased() }
            return .failed(name, reason: reason ?? "error \(code.rawValue) of libcurl")
        }
    }
}
