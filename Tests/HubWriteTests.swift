import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// What a hub writes onto a row that is there: nothing of its owner's, nothing disputed and no guess between twins goes in silently.
@Suite struct HubWriteTests {
    private static let school = "3641990001"
    private static let form = Embedded.catalogue["general.class"]!

    private func hub(_ home: HubHome, _ words: [String]) async throws -> Ended {
        try await Programs.run(Programs.zzsync, ["hub"] + words + ["--home", home.directory, "--as", "赵六"])
    }

    private func put(_ home: HubHome, _ words: String...) async throws -> Ended {
        try await hub(home, ["put", "班级信息", "--school", Self.school] + words)
    }

    /// One class at the school, known everywhere.
    private func world(_ nodes: [String] = ["A1"]) async throws -> (world: zzsync.World, row: RowID, key: String) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes)
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.class"]!.row
        try await world.settle()
        return (world, row, "班号=" + Self.form.example["class_number"]!.shown)
    }

    private func value(_ home: HubHome, _ row: RowID, _ field: String) throws -> Value? {
        try home.values(Self.form, row)?[try Self.form.field(named: field)]
    }

    private static func workbook(_ rows: [[String: String]]) throws -> String {
        let file = NSTemporaryDirectory() + "zz-hub-write-\(UInt64.random(in: 0...UInt64.max)).xlsx"
        let book = try WorkbookWriter(path: file, sheet: "班级信息", header: [WorkbookRows.schoolColumn] + form.fields.map(\.title))
        for row in rows {
            try book.append([school] + form.fields.map { row[$0.title] ?? form.example[$0.id]?.shown ?? "" })
        }
        try book.close()
        return file
    }

    // MARK: its owner's

    @Test func aHubThatIsNotTheOwnerAsksForItsValue() async throws {
        let (world, row, key) = try await world()
        let province = try world.hub("province")
        // The verbs read the files of the home.
        try FileManager.default.createDirectory(atPath: province.directory + "/policies", withIntermediateDirectories: true)
        try """
        [[policy]]
        form = "班级信息"
        fields = ["备注"]
        policy = "owner"
        source = "教室系统"
        """.write(toFile: province.directory + "/policies/60.toml", atomically: true, encoding: .utf8)
        for blank in ["", "  "] { try await put(province, "--source", blank, key, "备注=空").expect(2, "--source names no register") }
        try await put(province, "--source", "教室系统", key, "备注=101").expect(0, "the row changed")
        try await put(province, key, "备注=404").expect(
            0, "nothing takes effect yet", "备注 is asked for, as case 1", "教室系统 owns this cell", "101 stands", "60.toml, line 1", "--source 教室系统")
        try await put(province, "--source", "教窒系统", key, "备注=405").expect(0, "备注 is asked for, as case 1")
        #expect(try value(province, row, "备注") == .text("101"))
        let desk = OperatorDesk(province)
        let request = try #require(try desk.requests().first)
        #expect(request.stands == ["remark": "101"] && request.asked.map(\.values) == [["remark": "404"], ["remark": "405"]], "\(request)")
        #expect(request.asked.map(\.from) == ["this hub", "this hub"] && request.asked[0].author == "赵六")
        #expect(try desk.journal().map(\.kind) == ["owner", "owner"])
        // The same again asks nothing new.
        try await put(province, key, "备注=404").expect(0, "as case 1")
        #expect(try desk.journal().count == 2)
        // A workbook too: what is not its owner's is asked for, the rest of the row is changed.
        let file = try Self.workbook([["备注": "406", "计划人数": "33"]])
        defer { try? FileManager.default.removeItem(atPath: file) }
        let words = ["import", "班级信息", file, "--source", "学籍系统", "--update"]
        try await hub(province, words + ["--dry-run"]).expect(0, "Dry run", "1 changed", "1 cells asked for of their owner", "as a case")
        #expect(try desk.journal().count == 2)
        try await hub(province, words).expect(0, "第2行 备注 is asked for, as case 1", "1 changed")
        #expect(try value(province, row, "备注") == .text("101"))
        #expect(try value(province, row, "计划人数") == .integer(33))
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1)
        // The owner comes to agree with one of those who ask: the others still do, against what stands now.
        let before = try desk.show(request.number)
        try await put(province, "--source", "教室系统", key, "备注=404").expect(0, "the row changed")
        let open = try #require(try desk.requests().first)
        #expect(open.stands == ["remark": "404"] && open.asked.map(\.values) == [["remark": "405"], ["remark": "406"]], "\(open)")
        // Whoever saw the request before may not say no to it now: his no would put back what its owner has given up.
        #expect { try desk.take(request.number, candidate: 1, Verdict(who: "李四", reason: "不同意", version: before.version)) } throws: { "\($0)".contains("changed") }
        _ = try desk.take(request.number, candidate: 1, Verdict(who: "李四", reason: "不同意"))
        #expect(try value(province, row, "备注") == .text("404"))
        #expect(try desk.requests(all: true).map(\.state) == [.decided])
    }

    /// An operator who says no on the owner's behalf does not become the owner: writing once more would else go in.
    @Test(arguments: [(1, "101", true), (2, "404", false)])
    func afterItsAnswerTheCellIsWhose(candidate: Int, stands: String, isOwners: Bool) async throws {
        let policies = try PolicyFile.parse(
            "[[policy]]\nform = \"班级信息\"\nfields = [\"备注\"]\npolicy = \"owner\"\nsource = \"教室系统\"\n", path: "policies/a.toml",
            catalogue: Embedded.catalogue)
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"], policies: PolicyBook(rules: policies))
        let row = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.class"]!.row
        try await world.settle()
        let province = try world.hub("province"), desk = OperatorDesk(province)
        let remark = try Self.form.field(named: "备注")
        func change(_ word: String, _ author: String) throws {
            try province.change(Self.form, row, [remark: .text(word)], author: author, now: world.clock.now)
        }
        try change("101", Stamp.author(source: "教室系统", user: "赵六"))
        try change("404", "赵六")
        let request = try #require(try desk.requests().first)
        let decided = try desk.take(request.number, candidate: candidate, Verdict(who: "李四", reason: "核对过"))
        #expect(try value(province, row, "备注") == .text(stands))
        #expect(try province.author(Self.form, row, field: remark) == (isOwners ? "来源：教室系统（赵六）" : "李四"))
        try await world.settle()
        try world.node("A1").change(Self.form, row, [remark: .text("505")], author: "甲")
        try await world.settle()
        #expect(try value(province, row, "备注") == .text(isOwners ? "101" : "505"))
        #expect(try desk.requests().map(\.asked.last!.values) == (isOwners ? [["remark": "505"]] : []))
        #expect(Set(try world.digests(school: "A").values).count == 1)
        if isOwners {
            // The answer is taken back like any other, until the cell is written again.
            #expect { try desk.undo(decided.decision, Verdict(who: "李四", reason: "再看")) } throws: { "\($0)".contains("was kept since against another value") }
        }
    }

    // MARK: disputed

    /// What the row breaks already bars nothing, and is said; what it would break by the write does bar it.
    @Test func aRowThatBreaksARuleAlreadySaysSo() async throws {
        let (world, row, key) = try await world(["A1", "A2"])
        let (begin, end) = (try Self.form.field(named: "建班年月"), try Self.form.field(named: "结束年月"))
        let status = try Self.form.field(named: "班级状态")
        try world.node("A1").change(Self.form, row, [begin: .text("2024-09"), end: .text("2027-07"), status: .text("2")], author: "甲")
        try await world.settle()
        try world.node("A1").change(Self.form, row, [begin: .text("2026-09")], author: "甲")
        try world.node("A2").change(Self.form, row, [end: .text("2026-07")], author: "乙")
        try await world.settle()
        let province = try world.hub("province")
        try await put(province, key, "备注=东楼").expect(0, "the row changed", "结束年月")
        #expect(try value(province, row, "备注") == .text("东楼"))
    }

    @Test func aDisputedCellSaysSo() async throws {
        let (world, row, key) = try await world(["A1", "A2"])
        let size = try Self.form.field(named: "计划人数")
        try world.node("A1").change(Self.form, row, [size: .integer(41)], author: "甲")
        try world.node("A2").change(Self.form, row, [size: .integer(42)], author: "乙")
        for node in ["A1", "A2"] { try await world.sync(node) }
        let province = try world.hub("province")
        try await put(province, key, "计划人数=43").expect(0, "nothing takes effect yet", "计划人数 is disputed, case 1: what was written is candidate 3")
        let shown = try #require(try value(province, row, "计划人数"))
        try await put(province, key, "计划人数=\(shown.shown)").expect(0, "nothing takes effect yet", "case 1: it shows this value meanwhile")
        let answer = try await put(province, key, "备注=另一栏", "计划人数=44", "--json").expect(0).json()
        #expect(answer["changed"] as? Int == 1 && (answer["disputed"] as? [[String: Any]])?.first?["candidate"] as? Int == 4, "\(answer)")
        let again = try await put(province, key, "备注=另一栏").expect(0, "is so already; nothing was written")
        #expect(!again.out.contains("goes down"), "\(again.out)")
        #expect(try OperatorDesk(province).cases().map(\.candidates.count) == [4])
    }

    // MARK: twins

    @Test func noneOfTwoRowsIsMeant() async throws {
        let (world, _, _) = try await world(["A1", "A2"])
        let (number, name) = (try Self.form.field(named: "班号"), try Self.form.field(named: "班级名称"))
        for (node, word) in [("A1", "甲班"), ("A2", "乙班")] {
            _ = try world.node(node).add(Self.form, [number: .text("20249905"), name: .text(word)], author: word)
            try await world.sync(node)
        }
        let province = try world.hub("province"), desk = OperatorDesk(province)
        let twins = try #require(try desk.cases().first)
        let before = try province.digests(school: Self.school).mapValues(\.digest)
        try await put(province, "班号=20249905", "计划人数=33").expect(
            3, "2行用同一编号", twins.row, twins.otherRow!, "见案 \(twins.number)", "distinct \(twins.number)", "nothing was written")
        let file = try Self.workbook([["班号": "20249905", "班级名称": "丙班"]])
        defer { try? FileManager.default.removeItem(atPath: file) }
        for update in [[], ["--update"]] {
            try await hub(province, ["import", "班级信息", file, "--source", "学籍系统"] + update).expect(
                3, "第2行 班号\terror", "见案 \(twins.number)", "Nothing was written")
        }
        #expect(try province.digests(school: Self.school).mapValues(\.digest) == before)
        let compared = try await hub(province, ["compare", "班级信息", file, "--source", "学籍系统", "--json"]).expect(0).json()
        let rows = (compared["differences"] as? [[String: Any]] ?? []).filter { $0["kind"] as? String == "differs" }.map { $0["row"] as? String }
        #expect(Set(rows) == [twins.row, twins.otherRow], "\(compared)")
        try await hub(province, ["compare", "班级信息", file, "--source", "学籍系统"]).expect(0, "班级名称：学籍系统 丙班，here 甲班 in row ", "here 乙班 in row ", "0 equal")
        _ = try desk.distinct(twins.number, Verdict(who: "操作员", reason: "两个班"))
        try await put(province, "班号=20249905", "计划人数=33").expect(3, "已标为两行", "在学校按记录号")
    }

    @Test func aMergeSaysWhoseValuesStay() async throws {
        let (world, _, _) = try await world(["A1", "A2"])
        let fields = try ["班号", "班级名称", "备注", "计划人数"].map { try Self.form.field(named: $0) }
        let first = try world.node("A1").add(
            Self.form, [fields[0]: .text("20249905"), fields[1]: .text("甲班"), fields[2]: .text("甲的备注"), fields[3]: .null], author: "甲")
        let second = try world.node("A2").add(
            Self.form, [fields[0]: .text("20249905"), fields[1]: .text("乙班"), fields[3]: .integer(42)], author: "乙")
        for node in ["A1", "A2"] { try await world.sync(node) }
        let province = try world.hub("province"), desk = OperatorDesk(province)
        let twins = try #require(try desk.cases().first)
        let (stays, goes) = first < second ? (first, second) : (second, first)
        let keeps = first < second ? ["班级名称=甲班，not 乙班", "备注=甲的备注，not empty"] : ["班级名称=乙班，not 甲班", "计划人数=42，not empty"]
        let takes = (first < second ? "计划人数=42" : "备注=甲的备注") + " from \(goes)"
        let shown = try await hub(province, ["conflicts", "show", "\(twins.number)"])
        let told = try await hub(province, ["conflicts", "merge", "\(twins.number)", "--version", "\(twins.version)", "--reason", "同一个班", "--explain", "名册未到"])
        let journal = try await hub(province, ["conflicts", "journal"])
        for said in [shown, told, journal] {
            for words in keeps + [takes, "merged into \(stays)"] { said.expect(0, words) }
        }
        #expect(try province.values(Self.form, stays)?[fields[1]] == .text(first < second ? "甲班" : "乙班"))
        #expect(try province.values(Self.form, stays)?[fields[2]] == .text("甲的备注"))
        #expect(try province.values(Self.form, stays)?[fields[3]] == .integer(42))
        // The school reads the result too.
        let record = try #require(try desk.decisions().first { $0.kind == "merge" })
        #expect(record.result["remark"] == "甲的备注" && record.result["planned_size"] == "42", "\(record.result)")
    }
}
