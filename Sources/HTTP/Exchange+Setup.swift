// SPDX-License-Identifier: Apache-2.0

import CCurl

// How a transfer is explained to libcurl.
extension Exchange {
    /// What is sent; methods that usually have a body get an empty one, since servers ask for its length.
    var uploadBody: UploadBody? {
        if let upload = options.upload { return upload }
        if let body = request.body { return .bytes(body) }
        return ["POST", "PUT", "PATCH"].contains(request.method) ? .bytes([]) : nil
    }

    func prepare(_ handle: UnsafeMutableRawPointer) throws(HTTPError) {
        let api = core.api
        try setHeaders(handle, api)
        setTarget(handle, api)
        setCallbacks(handle, api)
        setConnection(handle, api)
        setTimeouts(handle, api)
        try setSecurity(handle, api)
        setRedirects(handle, api)
    }

    private func setHeaders(
        _ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>
    ) throws(HTTPError) {
        // "Expect: 100-continue" would cost a round trip, or a second of waiting with servers that ignore it.
        lines = api.pointee.slist_append(nil, "Expect:")
        for (name, value) in request.headers {
            if (name + value).utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) {
                throw .failed(self.name, reason: "the header \(name) holds a line break")
            }
            let line = value.isEmpty ? "\(name);" : "\(name): \(value)"
            lines = api.pointee.slist_append(lines, line) ?? lines
        }
        slk_curl_set_pointer(api, handle, CURLOPT_HTTPHEADER, lines)
    }

    private func setTarget(_ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>) {
        slk_curl_set_string(api, handle, CURLOPT_URL, request.url)
        // Signed addresses must arrive as they were signed.
        slk_curl_set_long(api, handle, CURLOPT_PATH_AS_IS, 1)
        slk_curl_set_string(api, handle, CURLOPT_USERAGENT, core.configuration.userAgent)
        if let range = options.range {
            slk_curl_set_string(api, handle, CURLOPT_RANGE, "\(range.lowerBound)-\(range.upperBound - 1)")
        }
        if request.method == "HEAD" {
            slk_curl_set_long(api, handle, CURLOPT_NOBODY, 1)
            return
        }
        if let body = uploadBody {
            slk_curl_set_long(api, handle, CURLOPT_UPLOAD, 1)
            slk_curl_set_offset(api, handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(body.count))
            slk_curl_set_long(api, handle, CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10)
        }
        if request.method != "GET" || uploadBody != nil {
            slk_curl_set_string(api, handle, CURLOPT_CUSTOMREQUEST, request.method)
        }
    }

    private func setCallbacks(_ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>) {
        // The loop holds the exchange for as long as the handle is in use.
        let context = Unmanaged.passUnretained(self).toOpaque()
        slk_curl_set_pointer(api, handle, CURLOPT_PRIVATE, context)
        slk_curl_set_write(api, handle, CURLOPT_HEADERFUNCTION, Self.takeHeader)
        slk_curl_set_pointer(api, handle, CURLOPT_HEADERDATA, context)
        slk_curl_set_write(api, handle, CURLOPT_WRITEFUNCTION, Self.takeBody)
        slk_curl_set_pointer(api, handle, CURLOPT_WRITEDATA, context)
        slk_curl_set_write(api, handle, CURLOPT_READFUNCTION, Self.fillUpload)
        slk_curl_set_pointer(api, handle, CURLOPT_READDATA, context)
        slk_curl_set_seek(api, handle, Self.seekUpload)
        slk_curl_set_pointer(api, handle, CURLOPT_SEEKDATA, context)
        slk_curl_set_connected(api, handle, Self.noteConnected)
        slk_curl_set_pointer(api, handle, CURLOPT_PREREQDATA, context)
        slk_curl_set_pointer(api, handle, CURLOPT_ERRORBUFFER, errorText)
    }

    private func setConnection(_ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>) {
        slk_curl_set_long(api, handle, CURLOPT_BUFFERSIZE, 512 << 10)
        slk_curl_set_long(api, handle, CURLOPT_TCP_NODELAY, 1)
        slk_curl_set_long(api, handle, CURLOPT_TCP_KEEPALIVE, 1)
        slk_curl_set_long(api, handle, CURLOPT_TCP_KEEPIDLE, 30)
        slk_curl_set_long(api, handle, CURLOPT_TCP_KEEPINTVL, 10)
        let version = sharesConnection ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1
        slk_curl_set_long(api, handle, CURLOPT_HTTP_VERSION, Int(version))
        // A burst of requests to a new host waits to hear whether one connection will do for them all.
        if sharesConnection, request.url.hasPrefix("https:") {
            slk_curl_set_long(api, handle, CURLOPT_PIPEWAIT, 1)
        }
        if let path = request.unixSocketPath {
            slk_curl_set_string(api, handle, CURLOPT_UNIX_SOCKET_PATH, path)
            // Without this a proxy named in the environment would be asked for the local socket.
            slk_curl_set_string(api, handle, CURLOPT_PROXY, "")
        } else if let proxy = options.proxy ?? core.configuration.proxy {
            slk_curl_set_string(api, handle, CURLOPT_PROXY, proxy)
        }
        slk_curl_set_long(api, handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    }

    private func setTimeouts(_ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>) {
        slk_curl_set_long(api, handle, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeoutMs)
        slk_curl_set_long(api, handle, CURLOPT_TIMEOUT_MS, request.totalTimeoutMs)
        // Timeouts without SIGALRM: the program has other threads.
        slk_curl_set_long(api, handle, CURLOPT_NOSIGNAL, 1)
        // Ending a transfer must not wait for the thread that still looks its host up; that one cleans up
        // after itself.
        slk_curl_set_long(api, handle, CURLOPT_QUICK_EXIT, 1)
    }

    private func setSecurity(
        _ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>
    ) throws(HTTPError) {
        let tls = options.tls
        switch trusted {
        case nil: break
        case .failure(let error): throw .tls(name, reason: error.reason)
        case .success(let bytes):
            // In place of the system's bundle; the system's directory of certificates is searched as well.
            bytes.withUnsafeBytes {
                _ = slk_curl_set_blob(api, handle, CURLOPT_CAINFO_BLOB, $0.baseAddress, $0.count)
            }
        }
        if let certificate = tls.clientCertificate {
            slk_curl_set_string(api, handle, CURLOPT_SSLCERT, certificate)
            slk_curl_set_string(api, handle, CURLOPT_SSLKEY, tls.clientKey ?? certificate)
        }
        if tls.skipVerify {
            slk_curl_set_long(api, handle, CURLOPT_SSL_VERIFYPEER, 0)
            slk_curl_set_long(api, handle, CURLOPT_SSL_VERIFYHOST, 0)
        }
    }

    private func setRedirects(_ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>) {
        slk_curl_set_string(api, handle, CURLOPT_PROTOCOLS_STR, "http,https")
        if options.redirects == 0 { return }
        // libcurl itself keeps Authorization and Cookie lines from going to another host, port or scheme.
        slk_curl_set_long(api, handle, CURLOPT_FOLLOWLOCATION, 1)
        slk_curl_set_long(api, handle, CURLOPT_MAXREDIRS, options.redirects)
        let isSecure = request.url.lowercased().hasPrefix("https:")
        slk_curl_set_string(api, handle, CURLOPT_REDIR_PROTOCOLS_STR, isSecure ? "https" : "http,https")
    }
}
