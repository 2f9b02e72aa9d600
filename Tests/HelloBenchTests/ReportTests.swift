// SPDX-License-Identifier: Apache-2.0

import Foundation
import FoundationXML
import Testing

@testable import hellobench

@Suite struct ReportTests {
    /// Counts elements, and remembers where the text is no XML.
    private final class Counter: NSObject, XMLParserDelegate {
        var counts: [String: Int] = [:]
        var failure: String?

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            counts[name, default: 0] += 1
        }

        func parser(_ parser: XMLParser, parseErrorOccurred error: any Error) {
            failure = "line \(parser.lineNumber): \(error)"
        }
    }

    private static func elements(_ text: String) throws -> [String: Int] {
        let counter = Counter()
        let parser = XMLParser(data: Data(text.utf8))
        parser.delegate = counter
        let isGood = parser.parse()
        #expect(isGood, "\(counter.failure ?? "")")
        return counter.counts
    }

    private let report = Report(Example.results)

    @Test func everyPictureIsWellFormed() throws {
        let figures = report.figures
        #expect(Set(figures.map(\.name)).count == figures.count)
        for figure in figures {
            for text in [figure.file, figure.element(width: 920), figure.element(width: 360)] {
                let counts = try Self.elements(text)
                #expect(counts["svg"] == 1, "\(figure.name)")
                #expect(counts["desc"] == 1 && counts["title", default: 0] >= 1, "\(figure.name)")
                #expect(!text.contains("nan") && !text.contains("inf\""), "\(figure.name)")
            }
            #expect(!figure.caption.isEmpty && !figure.description.isEmpty)
        }
    }

    @Test func everythingThatThereIsIsDrawn() {
        let names = Set(report.figures.map(\.name))
        let wanted = [
            "bars-pull-run-1", "bars-push-pull-run-1", "bars-commit-push-pull-run-1", "speedup-engines-1",
            "speedup-operations-1", "medians-1", "phases-1", "timeline-gcc", "amplification", "layers",
            "second-run", "dedup", "throughput-redis", "throughput-redis-start", "scale-containers",
        ]
        #expect(wanted.filter { !names.contains($0) }.isEmpty)
    }

    @Test func thePageStandsForItself() {
        let page = HTMLPage(report: report, title: "A & B").text
        #expect(page.contains("<title>A &amp; B</title>"))
        #expect(page.contains("prefers-color-scheme:dark"))
        for word in ["<script", "<link", "src=", "href=\"http", "@import", "url("] {
            #expect(!page.contains(word), "\(word)")
        }
        #expect(!page.contains("a<b>"))
        #expect(page.contains("no line matched"))
        let ids = page.matches(of: /\bid="([^"]+)"/).map { String($0.output.1) }
        #expect(Set(ids).count == ids.count)
        for target in page.matches(of: /href="#([^"]+)"/) { #expect(ids.contains(String(target.output.1))) }
    }

    @Test func markdownKeepsItsColumns() {
        for block in report.markdown.split(separator: "\n\n") where block.hasPrefix("| ") {
            let counts = block.split(separator: "\n").filter { $0.hasPrefix("|") }.map { line in
                line.replacing("\\|", with: "").filter { $0 == "|" }.count
            }
            #expect(Set(counts).count == 1)
        }
        #expect(report.markdown.contains(DataTable.missed))
    }

    /// Nothing of one kind must stand in the way of the others.
    @Test func aReportOfOneKindOnly() throws {
        for part in [\Results.samples, \.machines, \.analyses] as [PartialKeyPath<Results>] {
            var results = Results()
            switch part {
            case \.samples: results.samples = [Example.results.samples[0]]
            case \.analyses: results.analyses = Example.results.analyses
            default: results.scales = Example.results.scales
            }
            for figure in Report(results).figures { _ = try Self.elements(figure.file) }
            #expect(HTMLPage(report: Report(results), title: "t").text.contains("</html>"))
        }
    }

    @Test(arguments: [0, 1e-9, 1, 1e300])
    func oddValuesAreDrawn(value: Double) throws {
        var results = Example.results
        for index in results.samples.indices { results.samples[index].seconds = value }
        for index in results.throughputs.indices { results.throughputs[index].perSecond = [value] }
        for index in results.scales.indices { results.scales[index].seconds = value }
        for index in results.timelines.indices { results.timelines[index].points = [[value, value]] }
        for figure in Report(results).figures { _ = try Self.elements(figure.file) }
    }
}
