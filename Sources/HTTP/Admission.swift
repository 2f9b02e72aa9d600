// SPDX-License-Identifier: Apache-2.0

/// Decides which transfers run: so many for each host, the most urgent first.
struct Admission {
    /// First come, first served, however long it grows.
    private struct Line {
        private var exchanges: [Exchange] = []
        private var first = 0

        var isEmpty: Bool { first == exchanges.count }

        mutating func append(_ exchange: Exchange) { exchanges.append(exchange) }

        mutating func removeFirst() -> Exchange {
            defer {
                first += 1
                if first * 2 > exchanges.count {
                    exchanges.removeFirst(first)
                    first = 0
                }
            }
            return exchanges[first]
        }

        mutating func remove(_ exchange: Exchange) {
            exchanges.removeFirst(first)
            first = 0
            exchanges.removeAll { $0 === exchange }
        }
    }

    private struct Host {
        var active = 0
        /// Of those the ones that nobody waits for at this moment.
        var unhurried = 0
        var multiplexes = false
        /// Indexed by `TransferGroup.rawValue`.
        var waiting = [Line](repeating: Line(), count: TransferGroup.all.count)

        func hasRoom(for group: TransferGroup, _ maximum: Int) -> Bool {
            // Streams on a shared connection cost the server next to nothing.
            let limit = multiplexes && group.sharesConnections ? maximum * 4 : maximum
            return active < limit && (group.isUrgent || unhurried < maximum - maximum / 4)
        }

        var isEmpty: Bool { active == 0 && !multiplexes && waiting.allSatisfy(\.isEmpty) }
    }

    private let maximumPerHost: Int
    private var hosts: [String: Host] = [:]
    private var waitingCount = 0

    init(maximumPerHost: Int) {
        self.maximumPerHost = maximumPerHost
    }

    mutating func enter(_ exchange: Exchange) {
        hosts[exchange.hostKey, default: Host()].waiting[Int(exchange.options.group.rawValue)].append(
            exchange)
        waitingCount += 1
    }

    /// The next transfer that may run; it counts as running from now on.
    mutating func next() -> Exchange? {
        if waitingCount == 0 { return nil }
        for group in TransferGroup.all {
            // Nothing may refer to the hosts when one of them is changed, or all lines would be copied.
            if let key = hostWithRoom(for: group) { return admit(key, Int(group.rawValue), group) }
        }
        return nil
    }

    private func hostWithRoom(for group: TransferGroup) -> String? {
        hosts.first { _, host in
            !host.waiting[Int(group.rawValue)].isEmpty && host.hasRoom(for: group, maximumPerHost)
        }?.key
    }

    private mutating func admit(_ key: String, _ index: Int, _ group: TransferGroup) -> Exchange? {
        guard let exchange = hosts[key]?.waiting[index].removeFirst() else { return nil }
        waitingCount -= 1
        hosts[key]?.active += 1
        if !group.isUrgent { hosts[key]?.unhurried += 1 }
        exchange.isAdmitted = true
        return exchange
    }

    /// The transfer is over, or was cancelled while it waited.
    mutating func leave(_ exchange: Exchange) {
        let key = exchange.hostKey
        if exchange.isAdmitted {
            hosts[key]?.active -= 1
            if !exchange.options.group.isUrgent { hosts[key]?.unhurried -= 1 }
        } else {
            hosts[key]?.waiting[Int(exchange.options.group.rawValue)].remove(exchange)
            waitingCount -= 1
        }
        if hosts[key]?.isEmpty == true { hosts[key] = nil }
    }

    mutating func noteMultiplexing(_ key: String) {
        hosts[key]?.multiplexes = true
    }
}
