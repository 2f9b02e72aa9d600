// SPDX-License-Identifier: Apache-2.0

import Base
import CCurl
import Glibc

/// The thread of a `TransferLoop` and what it works on.
///
/// Whoever wants something puts a command into the mailbox; everything else belongs to the thread.
final class LoopCore: @unchecked Sendable {
    // Unchecked because: what is not guarded by the mailbox is only touched by the loop's thread.
    enum Command {
        case start(Exchange)
        case cancel(TransferID)
        case resume(TransferID)
        case limit(TransferGroup, UInt64?)
    }

    private struct Mailbox {
        var commands: [Command] = []
        var lastID: UInt64 = 0
        /// False once `stop` was called: nothing enters any more.
        var isOpen = true
        var hasEnded = false
        var thread: pthread_t?
    }

    let api: UnsafePointer<slk_curl>
    let configuration: TransferLoopConfiguration
    private let multi: UnsafeMutableRawPointer
    private let mailbox = Monitor(Mailbox())
    private let certificates = CertificateFiles()

    private var exchanges: [TransferID: Exchange] = [:]
    private var admission: Admission
    private var idleHandles: [UnsafeMutableRawPointer] = []
    private var nextStallCheck = MonotonicTime.now
    var throttle = Throttle()

    init(_ configuration: TransferLoopConfiguration) throws(HTTPError) {
        api = try CurlLibrary.table()
        guard let multi = api.pointee.multi_init() else {
            throw .failed("libcurl", reason: "curl_multi_init: out of memory")
        }
        self.multi = multi
        self.configuration = configuration
        admission = Admission(maximumPerHost: configuration.maximumPerHost)
        slk_curl_multi_set_long(api, multi, CURLMOPT_PIPELINING, Int(CURLPIPE_MULTIPLEX))
        slk_curl_multi_set_long(api, multi, CURLMOPT_MAXCONNECTS, configuration.maximumConnections)
        slk_curl_multi_set_long(
            api, multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, configuration.maximumConnections)
    }

    // MARK: any thread

    func begin() throws(HTTPError) {
        do throws(SystemError) {
            _ = try NamedThread("transfers", detached: true) { self.run() }
        } catch {
            close()
            throw .failed("transfers", reason: "\(error)")
        }
    }

    /// Closes all connections; nobody can knock at the loop any more.
    private func close() {
        mailbox.withLock {
            $0.isOpen = false
            $0.hasEnded = true
            $0.thread = nil
            _ = api.pointee.multi_cleanup(multi)
        }
    }

    func start(
        _ request: Request, _ options: TransferOptions, streams: Bool = false,
        to receiver: any TransferReceiver
    ) -> TransferID {
        let trusted = certificates.bytes(of: options.tls.certificateAuthorities)
        let exchange = Exchange(request, options, streams: streams, trusted: trusted, receiver, self)
        let isOpen = mailbox.withLock { mailbox in
            mailbox.lastID += 1
            exchange.id = TransferID(rawValue: mailbox.lastID)
            if mailbox.isOpen { enter(.start(exchange), &mailbox) }
            return mailbox.isOpen
        }
        let id = exchange.id
        if !isOpen { runDetached { exchange.reject(.stopped(exchange.name)) } }
        return id
    }

    func post(_ command: Command) {
        mailbox.withLock { if $0.isOpen { enter(command, &$0) } }
    }

    /// The loop needs one knock however many commands wait for it.
    private func enter(_ command: Command, _ mailbox: inout Mailbox) {
        if mailbox.commands.isEmpty { _ = api.pointee.multi_wakeup(multi) }
        mailbox.commands.append(command)
    }

    var isOwnThread: Bool {
        mailbox.withLock { $0.thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
    }

    func stop() {
        mailbox.withLock {
            $0.isOpen = false
            if !$0.hasEnded { _ = api.pointee.multi_wakeup(multi) }
        }
        if isOwnThread { return }
        mailbox.wait { $0.hasEnded ? () : nil }
    }

    private func runDetached(_ body: @escaping @Sendable () -> Void) {
        // Without memory for a thread the caller's own has to do: hearing nothing would be worse.
        if (try? NamedThread("transfers-end", detached: true, body)) == nil { body() }
    }

    // MARK: the loop's thread

    private func run() {
        mailbox.withLock { $0.thread = pthread_self() }
        while takeCommands() {
            admit()
            var now = MonotonicTime.now
            while let exchange = throttle.nextReleased(now) { goOn(exchange) { $0.isHeldByLimit = false } }
            var running: Int32 = 0
            let code = api.pointee.multi_perform(multi, &running)
            if code != CURLM_OK { endAll(.failed("libcurl", reason: text(of: code))) }
            collect()
            admit()
            now = .now
            checkStalls(now)
            let timeout = throttle.millisecondsToRelease(now).map { min($0, 250) } ?? 250
            _ = api.pointee.multi_poll(multi, nil, 0, Int32(timeout), nil)
        }
        endAll(nil)
        for handle in idleHandles { api.pointee.easy_cleanup(handle) }
        idleHandles = []
        close()
    }

    /// False when the loop is to end.
    private func takeCommands() -> Bool {
        let (commands, isOpen) = mailbox.withLock { mailbox in
            var commands: [Command] = []
            swap(&commands, &mailbox.commands)
            return (commands, mailbox.isOpen)
        }
        for command in commands {
            switch command {
            case .start(let exchange):
                exchanges[exchange.id] = exchange
                admission.enter(exchange)
            case .cancel(let id):
                if let exchange = exchanges[id] { end(exchange, .failure(.stopped(exchange.name))) }
            case .resume(let id):
                if let exchange = exchanges[id] { goOn(exchange) { $0.isHeldByReceiver = false } }
            case .limit(let group, let rate):
                for exchange in throttle.set(rate, for: group) { goOn(exchange) { $0.isHeldByLimit = false } }
            }
        }
        return isOpen
    }

    private func admit() {
        while let exchange = admission.next() {
            guard let handle = idleHandles.popLast() ?? api.pointee.easy_init() else {
                end(exchange, .failure(.failed("libcurl", reason: "curl_easy_init: out of memory")))
                continue
            }
            exchange.handle = handle
            do throws(HTTPError) {
                try exchange.prepare(handle)
                let code = api.pointee.multi_add_handle(multi, handle)
                if code != CURLM_OK { throw .failed(exchange.name, reason: text(of: code)) }
                exchange.isAdded = true
            } catch {
                end(exchange, .failure(error))
            }
        }
    }

    /// Ends what libcurl has finished with.
    private func collect() {
        var code = CURLE_OK
        while let handle = slk_curl_next_done(api, multi, &code) {
            guard let exchange = Exchange.of(handle, api) else { continue }
            exchange.outcome = code
            // What its receiver has not taken yet goes first.
            if !exchange.isHolding || code != CURLE_OK { end(exchange, exchange.result(code)) }
        }
    }

    private func goOn(_ exchange: Exchange, _ change: (Exchange) -> Void) {
        change(exchange)
        guard exchanges[exchange.id] === exchange, exchange.isAdded else { return }
        let code = exchange.goOn()
        if code != CURLE_OK {
            end(exchange, exchange.result(code))
        } else if let outcome = exchange.outcome, !exchange.isHolding {
            end(exchange, exchange.result(outcome))
        }
    }

    private func checkStalls(_ now: MonotonicTime) {
        if now < nextStallCheck { return }
        nextStallCheck = now.advanced(bySeconds: 0.1)
        for exchange in Array(exchanges.values) {
            if exchange.isStalled(now) {
                let limit = exchange.options.stallTimeoutMs
                end(exchange, .failure(.stalled(exchange.name, milliseconds: limit)))
            } else if exchange.isOverdue(now) {
                end(exchange, .failure(.timedOut(exchange.name)))
            }
        }
    }

    private func endAll(_ error: HTTPError?) {
        for exchange in Array(exchanges.values) {
            end(exchange, .failure(error ?? .stopped(exchange.name)))
        }
        // Commands that came while the loop was ending.
        let commands = mailbox.withLock { $0.isOpen ? [] : $0.commands }
        for case .start(let exchange) in commands where exchanges[exchange.id] == nil {
            exchange.reject(.stopped(exchange.name))
        }
    }

    /// The one place where a transfer leaves the loop.
    private func end(_ exchange: Exchange, _ result: Result<TransferSummary, HTTPError>) {
        guard exchanges.removeValue(forKey: exchange.id) != nil else { return }
        admission.leave(exchange)
        throttle.forget(exchange)
        if let handle = exchange.handle {
            if exchange.isAdded { _ = api.pointee.multi_remove_handle(multi, handle) }
            exchange.releaseHandle()
            api.pointee.easy_reset(handle)
            if idleHandles.count < 32 { idleHandles.append(handle) } else { api.pointee.easy_cleanup(handle) }
        }
        exchange.receiver.finish(result)
    }

    private func text(of code: CURLMcode) -> String {
        api.pointee.multi_strerror(code).map { String(cString: $0).lowercased() } ?? "error \(code.rawValue)"
    }

    func noteMultiplexing(_ exchange: Exchange) {
        admission.noteMultiplexing(exchange.hostKey)
    }
}
