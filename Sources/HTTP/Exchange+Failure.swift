// SPDX-License-Identifier: Apache-2.0

import CCurl
import Glibc

// What went wrong, out of libcurl's codes and what it says besides.
extension Exchange {
    func failure(_ code: CURLcode) -> HTTPError {
        if let stopReason { return stopReason }
        if let refusal = proxyRefusal() { return .proxy(name, reason: refusal) }
        switch code {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST:
            return .cannotConnect(name, reason: reason(code))
        case CURLE_COULDNT_RESOLVE_PROXY, CURLE_PROXY: return .proxy(name, reason: reason(code))
        case CURLE_OPERATION_TIMEDOUT: return .timedOut(name)
        case CURLE_TOO_MANY_REDIRECTS: return .tooManyRedirects(name, limit: options.redirects)
        case CURLE_WRITE_ERROR, CURLE_ABORTED_BY_CALLBACK: return .stopped(name)
        case CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_HTTP2,
            CURLE_HTTP2_STREAM:
            return broken()
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_USE_SSL_FAILED,
            CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT:
            return .tls(name, reason: reason(code))
        default: return .failed(name, reason: reason(code))
        }
    }

    private func broken() -> HTTPError {
        var number = 0
        if let handle { slk_curl_get_long(core.api, handle, CURLINFO_OS_ERRNO, &number) }
        if number == Int(ECONNRESET) || number == Int(EPIPE) { return .reset(name) }
        let text = String(cString: errorText)
        // A handshake that the other side refuses late comes as an error of reading.
        if text.contains("alert") && text.contains("SSL") { return .tls(name, reason: text.lowercased()) }
        return text.lowercased().contains("reset by peer") ? .reset(name) : .cutShort(name)
    }

    /// What a proxy answered when it was asked to connect further, unless it did.
    private func proxyRefusal() -> String? {
        guard let handle else { return nil }
        var status = 0
        slk_curl_get_long(core.api, handle, CURLINFO_HTTP_CONNECTCODE, &status)
        return status == 0 || 200..<300 ~= status ? nil : "it answered with status \(status)"
    }

    private func reason(_ code: CURLcode) -> String {
        let text = String(cString: errorText)
        if !text.isEmpty { return text }
        let words = core.api.pointee.easy_strerror(code).map { String(cString: $0).lowercased() }
        return words ?? "error \(code.rawValue) of libcurl"
    }
}
