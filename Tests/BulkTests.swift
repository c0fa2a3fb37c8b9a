import Foundation
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Many cases on one Monday: bulk, workbook, return.
@Suite struct BulkTests {
    static let form = Embedded.catalogue["general.class"]!
    private static var isLong: Bool { ProcessInfo.processInfo.environment["ZZSYNC_COUNTS"] == "long" }

    func field(_ title: String) throws -> Int { try Self.form.field(named: title) }
    func verdict(_ reason: String = "核对名册") -> Verdict { Verdict(who: "操作员", reason: reason) }
    func digests(_ world: zzsync.World) throws -> [String: String] {
        try world.hub("province").digests(school: "3641990001").mapValues(\.digest)
    }

    /// `count` classes of one school that two nodes have, before they disagree.
    func classes(_ count: Int, twins: Bool = false, policies: String = "") async throws -> (world: zzsync.World, rows: [RowID]) {
        let rules = policies.isEmpty ? [] : try PolicyFile.parse(policies, path: "policies/a.toml", catalogue: Embedded.catalogue)
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"], policies: PolicyBook(rules: rules))
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        guard !twins else {
            for index in 0..<count {
                for (name, room) in [("A1", "东楼"), ("A2", "西楼")] {
                    let values = [try field("班号"): Value.text("2024\(5_000 + index)"), try field("班级名称"): .text("\(room)\(index)")]
                    _ = try world.node(name).add(Self.form, values, author: name)
                }
            }
            try await world.settle()
            return (world, [])
        }
        let rows = try (0..<count).map {
            try world.node("A1").add(Self.form, [try field("班号"): .text("2024\(5_000 + $0)")], author: "A1")
        }
        try await world.settle()
        return (world, rows)
    }

    func write(_ node: NodeHome, _ row: RowID, _ title: String, _ value: Value, by author: String) throws {
        try node.change(Self.form, row, [try field(title): value], author: author)
    }

    /// Two nodes disagree on the rooms of `count` classes.
    func rooms(_ count: Int) async throws -> (world: zzsync.World, rows: [RowID]) {
        let (world, rows) = try await classes(count)
        for (index, row) in rows.enumerated() {
            try write(world.node("A1"), row, "班级名称", .text("东楼\(index)"), by: "王芳")
            try write(world.node("A2"), row, "班级名称", .text("西楼\(index)"), by: "李娜")
        }
        try await world.settle()
        return (world, rows)
    }

    func lives(_ count: Int) async throws -> zzsync.World {
        let (world, rows) = try await classes(count)
        for (index, row) in rows.enumerated() {
            try write(world.node("A1"), row, "班级名称", .text("东楼\(index)"), by: "王芳")
            try world.node("A2").remove(Self.form, row, author: "李娜")
        }
        try await world.settle()
        return world
    }

    /// One node moves the beginning of `count` finished classes, another their end: each may, both together may not.
    func years(_ count: Int) async throws -> zzsync.World {
        let (world, rows) = try await classes(count)
        for row in rows {
            try write(world.node("A1"), row, "班级状态", .text("2"), by: "王芳")
            try write(world.node("A1"), row, "结束年月", .text("2027-07"), by: "王芳")
        }
        try await world.settle()
        for row in rows {
            try write(world.node("A1"), row, "建班年月", .text("2026-09"), by: "王芳")
            try write(world.node("A2"), row, "结束年月", .text("2026-07"), by: "李娜")
        }
        try await world.settle()
        #expect(try OperatorDesk(world.hub("province")).cases().allSatisfy { $0.kind == "rule" && $0.breaks?.first?.hasPrefix("CL-03") == true })
        return world
    }

    /// A school asks the province, which owns their names, for other names of `count` classes.
    func requests(_ count: Int) async throws -> zzsync.World {
        let (world, rows) = try await classes(
            count, policies: "[[policy]]\nform = \"班级信息\"\nfields = [\"班级名称\"]\npolicy = \"owner\"\nowner = \"province\"\n")
        let (name, province) = (try field("班级名称"), try world.hub("province"))
        for (index, row) in rows.enumerated() {
            try province.change(Self.form, row, [name: .text("省定\(index)")], author: "操作员", now: world.clock.now)
        }
        try await world.settle()
        for (index, row) in rows.enumerated() { try write(world.node("A1"), row, "班级名称", .text("东楼\(index)"), by: "王芳") }
        try await world.settle()
        return world
    }

    /// `count` pairs of rows were merged, and the row that is gone was edited by somebody who had not heard of it.
    func offers(_ count: Int) async throws -> zzsync.World {
        let (world, _) = try await classes(count, twins: true)
        let desk = OperatorDesk(try world.hub("province"))
        for twins in try desk.cases() {
            _ = try desk.merge(twins.number, verdict("是同一个班"))
            let gone = try #require([twins.row, twins.otherRow ?? ""].compactMap { Int64($0) }.max())
            try write(world.node("A2"), RowID(gone), "计划人数", .integer(33), by: "李娜")
        }
        try await world.settle()
        return world
    }

    // MARK: bulk

    @Test func aBulkIsOneEntryAndOneUndo() async throws {
        let count = Self.isLong ? 500 : 12
        let (world, rows) = try await rooms(count)
        let desk = OperatorDesk(try world.hub("province"))
        let clock = ContinuousClock()
        var open: [CaseView] = []
        let listing = try clock.measure { open = try desk.cases() }
        #expect(open.count == count)
        // One case grows behind the operator's back, between his list and his bulk: it is not decided unseen.
        let grown = try CaseFilter(["form=班级信息", "field=班级名称", "new=西楼*"], catalogue: Embedded.catalogue)
        let items = try desk.cases(grown).map { BulkItem(view: $0, choice: .success(try Side.author("李娜").choose($0))) }
        try write(world.node("A1"), rows[0], "班级名称", .text("北楼"), by: "王芳")
        try await world.sync("A1")
        let before = try digests(world)

        let stale = try desk.decideAll(items, kind: "bulk", verdict(), dryRun: true)
        #expect(stale.decided == count - 1 && stale.leftCases.count == 1)
        #expect(stale.left.keys.allSatisfy { $0.contains("has changed") })
        var tried = BulkReport()
        let trying = try clock.measure { tried = try desk.bulk(grown, take: .author("李*"), verdict(), dryRun: true) }
        #expect(tried.decided == count && tried.left.isEmpty && tried.decision == nil && tried.sample.count == min(10, count))
        #expect(try digests(world) == before && desk.journal().isEmpty, "a trial writes nothing")

        var done = BulkReport()
        let deciding = try clock.measure { done = try desk.bulk(grown, take: .author("李*"), verdict(), dryRun: false) }
        #expect(try desk.journal().count == 1)
        print("bulk of \(count) cases: list \(listing), trial \(trying), decided \(deciding)")
        let after = try digests(world)
        #expect(try desk.journal(batch: done.decision).count == count)
        try await world.settle()
        #expect(try world.node("A1").decisions(form: nil).count == count, "the school reads every one")

        let undo = try desk.undo(try #require(done.decision), verdict("整批看错"))
        #expect(undo.taken.hasPrefix("\(count) decisions"))
        #expect(try desk.cases().count == count && digests(world) == before)
        _ = try desk.bulk(grown, take: .author("李*"), verdict(), dryRun: false)
        #expect(try digests(world) == after)
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    /// The same list pasted on two nodes of a school: nobody is asked, and nobody sees a row twice.
    @Test func aListPastedOnTwoNodesBecomesOne() async throws {
        let count = Self.isLong ? 5_000 : 60
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let before = try world.rows("A1", Self.form)
        var example: [Int: Value] = [:]
        for (name, value) in Self.form.example { example[Self.form.fieldIndex(id: name)!] = value }
        let number = try field("班号")
        let list = (0..<count).map { index in example.merging([number: .text("2024\(10_000 + index)")]) { $1 } }
        for node in ["A1", "A2"] { try world.node(node).addMany(Self.form, list, author: "\(node) 业务员") }
        try await world.sync("A1")
        let merging = try await ContinuousClock().measure { try await world.sync("A2") }
        print("\(count) equal twins: sent, merged and shown to their school in \(merging)")
        #expect(try OperatorDesk(world.hub("province")).cases().isEmpty)
        try await world.settle()
        for name in ["A1", "A2", "province", "ministry"] { #expect(try world.rows(name, Self.form) == before + count, "\(name)") }
        #expect(Set(try world.digests(school: "A").values).count == 1)
    }

    @Test func whatRefusesStaysAndIsCounted() async throws {
        let (world, rows) = try await classes(4)
        for (index, row) in rows.enumerated() {
            try write(world.node("A1"), row, "班级名称", .text("甲班\(index)"), by: "王芳")
            // An empty name breaks a rule: nobody may take it without an explanation.
            try write(world.node("A2"), row, "班级名称", index == 0 ? .null : .text("乙班\(index)"), by: "李娜")
        }
        try await world.settle()
        let desk = OperatorDesk(try world.hub("province"))
        let all = try CaseFilter(["kind=cell"], catalogue: Embedded.catalogue)
        let nobody = try desk.bulk(all, take: .author("没有这个人"), verdict(), dryRun: false)
        #expect(nobody.decided == 0 && nobody.left == ["No candidate is on this side. Take another side, or decide the case by itself.": 4] && nobody.decision == nil)
        let report = try desk.bulk(all, take: .author("李娜"), verdict(), dryRun: false)
        #expect(report.decided == 3 && report.left.count == 1 && report.left.keys.first?.contains("breaks a rule") == true)
        #expect(try desk.cases().count == 1 && desk.journal().count == 1)
    }

    @Test(arguments: [
        (["school=3641990001"], 3), (["school=364199*"], 3), (["form=班级*", "field=班级*称"], 3), (["form=general.class", "kind=*"], 3), (["key=20245000"], 1), (["key=2024500*"], 3), (["old=*"], 3),
        (["new=东楼1"], 1), (["new=*楼*", "author=王芳"], 3), (["author=王*,没有"], 3), (["site=A2"], 3), (["import=1/1"], 3), (["case=2,3"], 2),
        (["kind=life"], 0), (["returned=yes"], 0), (["answered=no"], 3), (["field=班主任工号"], 0),
    ] as [([String], Int)]) func filtersFind(_ words: [String], _ wanted: Int) async throws {
        let (world, _) = try await rooms(3)
        let found = try OperatorDesk(try world.hub("province")).cases(CaseFilter(words, catalogue: Embedded.catalogue))
        #expect(found.count == wanted, "\(words)")
    }

    /// What no case can have is a slip of the pen: "0 cases" would say that all is done.
    @Test(arguments: [
        ("kind=同格", "Kinds are cell, life, twins, owner, rule, clone."), ("kind=foo", "'foo' is no kind of case"), ("case=abc", "'abc' is no number of a case"),
        ("case=999999", "There is no case 999999"), ("case=0999999", "There is no case 999999"),
        ("case=1,", "is no number"), ("returned=Yes", "Write returned=yes or returned=no."), ("answered=", "answered=yes or answered=no"),
        ("school=校1", "This hub knows no school with code 校1."), ("school=123", "`zzsync hub schools` lists them."), ("school=99*", "no school with code 99*"),
        ("form=年级*", "There is no form '年级*'"), ("field=没有*", "No form has a field '没有*'"),
    ]) func aValueThatNoCaseCanHaveIsRefused(_ word: String, _ said: String) async throws {
        let (world, _) = try await rooms(1)
        let desk = OperatorDesk(try world.hub("province"))
        #expect { try desk.cases(CaseFilter([word], catalogue: Embedded.catalogue)) } throws: {
            ($0 as? Failure)?.kind == .usage && "\($0)".contains(said)
        }
    }

    @Test func mistakesAreNamed() {
        #expect { try CaseFilter(["colour=red"], catalogue: Embedded.catalogue) } throws: { "\($0)".contains("form, field, kind, school") }
        #expect { try CaseFilter(["form=班级信"], catalogue: Embedded.catalogue) } throws: { "\($0)".contains("no form '班级信'") }
        #expect { try Side("newer") } throws: { "\($0)".contains("newest, oldest, present") }
    }

    // MARK: back to the school

    @Test func aReturnIsReadAndItsAnswerIsMarked() async throws {
        let (world, _) = try await rooms(2)
        let desk = OperatorDesk(try world.hub("province"))
        let item = try desk.cases()[0]
        let row = RowID(try #require(Int64(item.row)))
        _ = try desk.handBack(item.number, verdict("请查课表后改正"))
        #expect { try desk.decide(item.number, .candidate(1), Verdict(who: "乙", reason: "r", version: item.version)) } throws: {
            "\($0)".contains("has changed")
        }
        // A2 has not read it: its write joins, but is no answer.
        try write(world.node("A2"), row, "班级名称", .text("南楼"), by: "李娜")
        try await world.push("A2")
        #expect(try desk.show(item.number).candidates.contains(where: \.answers) == false)
        try await world.sync("A1")
        let read = try #require(try world.node("A1").decisions(form: Self.form).first)
        #expect(read.kind == "return" && read.reason == "请查课表后改正" && read.candidates.count == 2)
        try write(world.node("A1"), row, "班级名称", .text("实训楼"), by: "王芳")
        try await world.sync("A1")
        #expect(try desk.show(item.number).candidates.filter(\.answers).map(\.values) == [["class_name": "实训楼"]])
        let report = try desk.bulk(CaseFilter(["answered=yes"], catalogue: Embedded.catalogue), take: .answer, verdict("按学校答复"), dryRun: false)
        #expect(report.decided == 1 && report.cases == 1)
        try await world.settle()
        #expect(try world.node("A2").values(Self.form, row)?[try field("班级名称")] == .text("实训楼"))
        #expect(try desk.cases().count == 1, "the other case is as it was")
    }

    // MARK: workbook

    /// The exported lines, changed by `edit`, as a workbook.
    private func rewrite(_ path: String, _ edit: (inout [String]) -> Void) throws {
        let reader = try WorkbookReader(path: path)
        var lines: [[String]] = []
        while let row = try reader.nextRow() { lines.append((0..<CaseSheet.header.count).map { row[$0].shown ?? "" }) }
        let writer = try WorkbookWriter(path: path, sheet: "案", header: lines[0])
        for var line in lines.dropFirst() {
            edit(&line)
            try writer.append(line)
        }
        try writer.close()
    }

    @Test func aWorkbookDecidesAllButWhatIsStale() async throws {
        let (world, rows) = try await rooms(5)
        let desk = OperatorDesk(try world.hub("province"))
        let path = NSTemporaryDirectory() + "cases-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try CaseSheet(desk).export(CaseFilter(), to: path) == 5)
        let numbers = try desk.cases().map(\.number)
        // Meanwhile one case grows and another is decided.
        try write(world.node("A1"), rows[0], "班级名称", .text("北楼"), by: "王芳")
        try await world.sync("A1")
        let grown = try #require(try desk.cases().first { $0.candidates.count == 3 }).number
        let closed = try #require(numbers.first { $0 != grown })
        _ = try desk.decide(closed, .candidate(1), Verdict(who: "操作员甲", reason: "先到"))
        let rest = numbers.filter { $0 != grown && $0 != closed }
        try rewrite(path) { line in
            line[9] = line[0] == "\(rest[0])" ? "班级名称=图书馆" : line[0] == "\(rest[1])" ? "" : "2"
            line[10] = "按工作簿"
        }
        let before = try digests(world)
        let tried = try CaseSheet(desk).load(path, verdict(), dryRun: true)
        #expect(tried.decided == 2 && tried.cases == 4)
        #expect(try digests(world) == before)
        let report = try CaseSheet(desk).load(path, verdict(), dryRun: false)
        #expect(report.decided == 2 && Set(report.leftCases.map(\.number)) == [grown, closed], "the stale ones are listed")
        #expect(report.leftCases.first { $0.number == grown }?.outcome.contains("has changed") == true)
        let told = report.leftCases.first { $0.number == closed }?.outcome ?? ""
        #expect(told.contains("操作员甲") && told.contains("先到") && told.contains("Z"), "with who and when: \(told)")
        #expect(Set(try desk.cases().map(\.number)) == [grown, rest[1]], "none of the stale ones is decided")
        #expect(try desk.journal(batch: report.decision).map(\.reason) == ["按工作簿", "按工作簿"])
        _ = try desk.undo(try #require(report.decision), verdict("整本退回"))
        #expect(try digests(world) == before && desk.cases().count == 4)
    }

    @Test(arguments: [
        ("案号", "号", "no column 案号"), ("1", "一", "must be numbers"),
    ]) func aWorkbookOfAnotherKindIsRefused(_ old: String, _ new: String, _ word: String) async throws {
        let (world, _) = try await rooms(1)
        let desk = OperatorDesk(try world.hub("province"))
        let path = NSTemporaryDirectory() + "cases-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let writer = try WorkbookWriter(
            path: path, sheet: "案", header: CaseSheet.header.map { $0 == old ? new : $0 })
        try writer.append([new == "一" ? new : "1", "1", "", "", "", "", "", "", "", "1", "因为", ""])
        try writer.close()
        #expect { try CaseSheet(desk).load(path, verdict(), dryRun: false) } throws: { "\($0)".contains(word) }
        #expect(try desk.journal().isEmpty)
    }
}
