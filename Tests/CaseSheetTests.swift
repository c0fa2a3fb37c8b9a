import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Monday's five hundred cases in a spreadsheet program: a line decides the case that it shows, or nothing.
@Suite struct CaseSheetTests {
    private static let form = Embedded.catalogue["general.class"]!
    private let verdict = Verdict(who: "操作员", reason: "按名册")
    private enum Column: Int { case number, version, school, form, key, field, kind, base, candidates, decision, reason, explanation, hub }

    /// Two nodes disagree on the names of `count` classes; the province asks.
    private func disputed(_ count: Int) async throws -> (world: zzsync.World, desk: OperatorDesk) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        let (number, name) = (try Self.form.field(named: "班号"), try Self.form.field(named: "班级名称"))
        let rows = try (0..<count).map { try world.node("A1").add(Self.form, [number: .text("W0010\($0)")], author: "王芳") }
        try await world.settle()
        for (index, row) in rows.enumerated() {
            try world.node("A1").change(Self.form, row, [name: .text("东楼\(index)")], author: "王芳")
            try world.node("A2").change(Self.form, row, [name: .text("西楼\(index)")], author: "李娜")
        }
        try await world.settle()
        let desk = OperatorDesk(try world.hub("province"))
        #expect(try desk.cases().count == count)
        return (world, desk)
    }

    private func read(_ path: String) throws -> [[String]] {
        let reader = try WorkbookReader(path: path)
        var lines: [[String]] = []
        while let row = try reader.nextRow() { lines.append((0..<CaseSheet.header.count).map { row[$0].shown ?? "" }) }
        return lines
    }

    /// Exports, lets `edit` at the lines below the header, and imports.
    private func load(_ desk: OperatorDesk, dryRun: Bool = false, at other: OperatorDesk? = nil, _ edit: (inout [[String]]) -> Void) throws -> BulkReport {
        let path = NSTemporaryDirectory() + "sheet-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try CaseSheet(desk).export(CaseFilter(), to: path)
        var lines = try read(path)
        let header = lines.removeFirst()
        for index in lines.indices { lines[index][Column.decision.rawValue] = "1" }
        edit(&lines)
        let writer = try WorkbookWriter(path: path, sheet: "案", header: header)
        for line in lines { try writer.append(line) }
        try writer.close()
        return try CaseSheet(other ?? desk).load(path, verdict, dryRun: dryRun)
    }

    @Test(arguments: [
        (.number, "编号 is not that of case"), (.key, "编号 is not that of case"), (.candidates, "候选 is not that of case"),
    ] as [(Column, String)])
    private func aColumnSortedByItselfDecidesNobodyElsesCase(_ column: Column, _ words: String) async throws {
        let (_, desk) = try await disputed(3)
        let open = try desk.cases().map(\.number)
        let report = try load(desk) { lines in
            let first = lines[0][column.rawValue]
            lines[0][column.rawValue] = lines[1][column.rawValue]
            lines[1][column.rawValue] = first
        }
        #expect(report.cases == 3 && report.decided == 1 && Set(report.leftCases.map(\.number)) == Set(open.prefix(2)))
        #expect(report.leftCases.allSatisfy { $0.outcome.contains(words) && $0.outcome.contains("export the cases anew") }, "\(report.leftCases)")
        #expect(try desk.cases().map(\.number) == Array(open.prefix(2)), "neither of the two is decided")
    }

    @Test(arguments: [(Column.school, "3641990009"), (.form, "学生基本信息"), (.field, "计划人数")]) private func whatTheLineIsAboutMustBeTheCases(
        _ column: Column, _ text: String
    ) async throws {
        let (_, desk) = try await disputed(1)
        let report = try load(desk) { $0[0][column.rawValue] = text }
        #expect(report.decided == 0 && report.leftCases.first?.outcome.contains("it says \(text), the case's is") == true, "\(report)")
        #expect(try desk.journal().isEmpty)
    }

    /// Lines keep their meaning in any order, with blanks and other ends of lines, as spreadsheet programs save them.
    @Test func linesInAnotherOrderAreTheSame() async throws {
        let (_, desk) = try await disputed(3)
        let report = try load(desk) { lines in
            lines.reverse()
            lines[0][Column.candidates.rawValue] = lines[0][Column.candidates.rawValue].replacing("\n", with: " \r\n")
            lines[1][Column.key.rawValue] += " "
        }
        #expect(report.decided == 3 && report.left.isEmpty, "\(report)")
        #expect(try desk.cases().isEmpty)
    }

    @Test func aWorkbookOfAnotherHubDecidesNothing() async throws {
        let (world, desk) = try await disputed(2)
        let ministry = OperatorDesk(try world.hub("ministry"))
        let report = try load(desk, at: ministry) { _ in }
        #expect(report.decided == 0 && report.left.keys.allSatisfy { $0.contains("The line was exported by") }, "\(report)")
        // A hub that was put back from a backup gives numbers out again.
        let mixed = try load(desk) { lines in lines[0][Column.hub.rawValue] = lines[0][Column.hub.rawValue].replacing("-1", with: "-2") }
        #expect(mixed.decided == 1 && mixed.leftCases.count == 1)
        #expect(try desk.cases().count == 1)
    }

    @Test func aWorkbookOfAnEarlierVersionIsRefusedWhole() async throws {
        let (_, desk) = try await disputed(1)
        let path = NSTemporaryDirectory() + "sheet-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try CaseSheet(desk).export(CaseFilter(), to: path)
        let lines = try read(path)
        let writer = try WorkbookWriter(path: path, sheet: "案", header: Array(lines[0].dropLast()))
        try writer.append(Array(lines[1].prefix(Column.decision.rawValue)) + ["1", "按名册", ""])
        try writer.close()
        #expect { try CaseSheet(desk).load(path, verdict, dryRun: false) } throws: { "\($0)".contains("no column 枢纽") && "\($0)".contains("Export the cases anew") }
        #expect(try desk.journal().isEmpty)
    }

    /// Nobody can tell which of two lines is meant, also where both say the same.
    @Test(arguments: ["1", "2"]) func twoLinesForOneCaseDecideNothing(_ second: String) async throws {
        let (_, desk) = try await disputed(2)
        let number = try desk.cases()[0].number
        for dryRun in [true, false] {
            let report = try load(desk, dryRun: dryRun) { lines in
                lines.append(lines[0])
                lines[2][Column.decision.rawValue] = second
            }
            #expect(report.decided == 1 && report.cases == 2 && report.leftCases.map(\.number) == [number], "\(report)")
            #expect(report.leftCases.allSatisfy { $0.outcome.contains("in lines 2, 4. Leave 决定 filled in in one") }, "\(report.leftCases)")
            guard !dryRun else { continue }
            #expect(try desk.cases().map(\.number) == [number])
        }
        // One of the two emptied, it goes.
        let mended = try load(desk) { lines in
            lines.append(lines[0])
            lines[1][Column.decision.rawValue] = ""
        }
        #expect(mended.decided == 1)
    }

    @Test func aWrongWordNamesTheAllowedOnes() async throws {
        let (_, desk) = try await disputed(1)
        let report = try load(desk) { $0[0][Column.decision.rawValue] = "X" }
        #expect(report.leftCases.first?.outcome == "'X' is no decision. Write a candidate's number, 栏=值, 合并, 两行 or 退回.", "\(report)")
        #expect(report.left.keys.first?.contains("合并, 两行 or 退回") == true)
    }

    // MARK: sides of one name

    @Test func twoSitesOfOneLabelAreToldApart() async throws {
        let (world, desk) = try await disputed(2)
        try await world.hub("province").database.write { try $0.execute(sql: "UPDATE zz_site SET label = 'vm'") }
        let all = try CaseFilter(["kind=cell"], catalogue: Embedded.catalogue)
        let before = try world.hub("province").digests(school: "3641990001").mapValues(\.digest)
        for side in ["site=vm", "site=v*", "author=*"] {
            let report = try desk.bulk(all, take: try Side(side), verdict, dryRun: false)
            #expect(report.decided == 0 && report.left.count == 1, "\(side): \(report)")
            #expect(report.left.keys.first?.hasPrefix("More than one candidate is on this side, and they differ. Name one of them") == true, "\(side)")
        }
        #expect(try world.hub("province").digests(school: "3641990001").mapValues(\.digest) == before && desk.journal().isEmpty)
        let item = try desk.cases()[0]
        let origins = item.candidates.map(item.origin)
        #expect(Set(origins).count == 2 && origins.allSatisfy { $0.hasPrefix("vm (site ") }, "\(origins)")
        let line = try #require(try exported(desk).first { $0[0] == "\(item.number)" })
        for origin in origins { #expect(line[Column.candidates.rawValue].contains(origin)) }
        // By its id one is meant.
        let a2 = try #require(item.candidates.first { $0.author == "李娜" }?.child)
        #expect(try desk.cases(CaseFilter(["site=\(a2)"], catalogue: Embedded.catalogue)).count == 2)
        #expect(try desk.bulk(all, take: .site(a2), verdict, dryRun: false).decided == 2)
        let name = try Self.form.field(named: "班级名称")
        try await world.settle()
        #expect(try world.node("A1").values(Self.form, RowID(Int64(item.row)!))?[name].shown.hasPrefix("西楼") == true)
    }

    private func exported(_ desk: OperatorDesk) throws -> [[String]] {
        let path = NSTemporaryDirectory() + "sheet-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try CaseSheet(desk).export(CaseFilter(), to: path)
        return try read(path)
    }

    /// One machine's later word stands for it.
    @Test func theLaterWordOfOneSiteIsItsSide() async throws {
        let (world, desk) = try await disputed(1)
        let item = try desk.cases()[0]
        let name = try Self.form.field(named: "班级名称")
        try world.node("A2").change(Self.form, RowID(Int64(item.row)!), [name: .text("北楼")], author: "李四")
        try await world.sync("A2")
        let grown = try desk.show(item.number)
        #expect(grown.candidates.count == 3)
        let taken = try Side("site=A2").choose(grown)
        #expect(taken == .candidate(try #require(grown.candidates.first { $0.author == "李四" }).candidate))
        #expect(try Side("author=李*").choose(grown) == taken)
    }
}
