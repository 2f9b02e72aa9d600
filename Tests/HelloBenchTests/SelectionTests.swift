// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

/// Which workloads the command line means.
@Suite struct SelectionTests {
    private func names(images: String? = nil, category: String? = nil) throws -> [String] {
        try WorkloadSet.load(nil).select(images: images, category: category).map(\.name)
    }

    private func message(images: String? = nil, category: String? = nil) -> String? {
        let error = #expect(throws: BenchError.self) { try names(images: images, category: category) }
        return error?.description
    }

    @Test func namesKeepTheirOrderAndCountOnce() throws {
        #expect(try names(images: "redis, alpine,redis") == ["redis", "alpine"])
    }

    @Test func categoriesAddUpAndNarrowNames() throws {
        #expect(try names(category: "web-framework") == ["django", "iojs", "node", "rails"])
        #expect(try names(images: "redis,node,alpine", category: "database,distro") == ["redis", "alpine"])
        #expect(
            message(images: "redis", category: "distro") == "no workload of redis is of the category distro")
    }

    @Test func anUnknownNameHasThoseLikeIt() {
        #expect(message(images: "postgers") == "postgers: no such image; did you mean postgres?")
        #expect(
            message(images: "ubuntu-")
                == "ubuntu-: no such image; did you mean ubuntu or ubuntu-debootstrap or ubuntu-upstart?")
        #expect(message(images: "qqqqqqq") == "qqqqqqq: no such image; hellobench list shows all")
        #expect(message(category: "databases") == "databases: no such category; did you mean database?")
    }

    @Test func distances() {
        #expect(NearMatch.distance("", "abc") == 3)
        #expect(NearMatch.distance("kitten", "sitting") == 3)
        #expect(NearMatch.distance("redis", "redis") == 0)
    }

    @Test func layersHaveTheSameNameOnTheSameBaseOnly() throws {
        let set = try WorkloadSet.load(nil)
        func keys(_ name: String) throws -> [String] {
            LayerKey.keys(of: try #require(set.select(images: name).first?.debian).layers)
        }
        let (python, django, redis) = (try keys("python"), try keys("django"), try keys("redis"))
        #expect(Array(django.prefix(python.count)) == python)
        #expect(redis[0] == python[0])
        #expect(Set(redis).intersection(python).count == 1)
    }
}
