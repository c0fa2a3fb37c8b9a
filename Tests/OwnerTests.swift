import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// One value, one source: change requests, and an owner that writes where it sits.
@Suite struct OwnerTests {
    private static let schoolA = "3641990001", schoolB = "3641990002"

    private func path(_ name: String) -> String { NSTemporaryDirectory() + "zz-owner-\(UInt64.random(in: 0...UInt64.max))-\(name)" }

    private func hub(_ home: HubHome, _ words: String...) async throws -> Ended {
        try await Programs.run(Programs.zzsync, ["hub"] + words + ["--home", home.directory, "--as", "赵六"])
    }

    // MARK: requests

    /// A school's request to the ministry about a student's nationality: 03 stands, 02 is asked for.
    private func asked(_ nodes: [String]) async throws -> (world: zzsync.World, row: RowID, number: Int64) {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: nodes)
        let (form, row) = try world.node("A1").addExamples(author: "初始数据", school: "A")["general.student.basic"]!
        let nationality = try form.field(named: "民族")
        try await world.settle()
        try world.hub("ministry").change(form, row, [nationality: .text("03")], author: "部级操作员", now: world.clock.now)
        try await world.settle()
        try world.node("A1").change(form, row, [nationality: .text("02")], author: "甲校业务员")
        try await world.push("A1")
        let request = try #require(try OperatorDesk(world.hub("province")).requests().first)
        return (world, row, request.number)
    }

    @Test func aRequestIsListedExportedTaughtToTheSchoolAndClosesItself() async throws {
        let (world, row, _) = try await asked(["A1"])
        let form = Embedded.catalogue["general.student.basic"]!, nationality = try form.field(named: "民族")
        try await world.settle()
        let province = try world.hub("province")
        let request = try #require(try OperatorDesk(province).requests().first)
        #expect(request.stands == ["nationality": "03"] && request.asked.map(\.values) == [["nationality": "02"]])
        #expect(request.asked[0].author == "甲校业务员" && request.policy == "catalogue" && request.reason.contains("一数一源"))
        try await hub(province, "requests", "list", "--school", Self.schoolA).expect(0, "民族=03 → 民族=02", "1 requests.")
        try await hub(province, "requests", "show", "\(request.number)").expect(0, "stands  民族=03", "asked   民族=02  by 甲校业务员")
        try await hub(province, "conflicts", "list", "--kind", "owner").expect(0, "general.student.basic")
        let file = path("requests.xlsx")
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await hub(province, "requests", "export", "-o", file).expect(0, "1 asked-for values")
        let book = try WorkbookReader(path: file)
        let header = try #require(try book.nextRow()), line = try #require(try book.nextRow())
        let told = Dictionary(uniqueKeysWithValues: header.cells.indices.map { (header[$0].shown ?? "", line[$0].shown ?? "") })
        #expect(told["栏"] == "民族" && told["所有者的值"] == "03" && told["申请改为"] == "02" && told["学校标识码"] == Self.schoolA)
        // The school reads that its value was overruled, and why.
        let records = try await world.node("A1").database.read { db in try DecisionRecord.list(db, scope: nil, form: form) }
        #expect(records.map(\.kind) == ["owner"] && records[0].reason.contains("变更申请"), "\(records)")
        // A question to the school answers nothing.
        _ = try OperatorDesk(province).handBack(request.number, Verdict(who: "操作员", reason: "请核对"))
        try world.hub("ministry").change(form, row, [nationality: .text("02")], author: "部级操作员", now: world.clock.now)
        try await world.settle()
        #expect(try OperatorDesk(province).requests().isEmpty)
        let closed = try OperatorDesk(province).requests(all: true)
        #expect(closed.map(\.state) == [.agreed] && closed.map(\.answer) == [""], "\(closed)")
        #expect { try OperatorDesk(province).take(request.number, candidate: 2, Verdict(who: "操作员", reason: "r")) } throws: {
            ($0 as? Failure)?.kind == .refused && "\($0)".contains("was closed")
        }
        try await hub(province, "requests", "show", "999").expect(2, "no case 999")
    }

    private func nationality(_ world: zzsync.World, _ hub: String, _ row: RowID) throws -> String? {
        let form = Embedded.catalogue["general.student.basic"]!
        return try world.hub(hub).values(form, row)?[form.field(named: "民族")].shown
    }

    /// The row was deleted, and lives again because somebody had edited it unseen: what was asked for is asked for still.
    @Test func aRequestComesBackWithItsRow() async throws {
        let (world, row, number) = try await asked(["A1", "A2", "A3"])
        let form = Embedded.catalogue["general.student.basic"]!, desk = OperatorDesk(try world.hub("province"))
        for node in ["A2", "A3"] { try await world.sync(node) }
        try world.node("A2").change(form, row, [form.field(named: "姓名"): .text("示例乙")], author: "A2")
        try world.node("A3").remove(form, row, author: "A3")
        try await world.push("A3")
        #expect(try desk.requests().isEmpty && desk.requests(all: true).map(\.state) == [.gone])
        try await world.push("A2")
        #expect(try desk.requests().map(\.number) == [number])
        // Decided dead it goes, undone it is there; met, it stays closed.
        let life = try #require(try desk.cases().first { $0.kind == "life" })
        let verdict = Verdict(who: "操作员", reason: "核实")
        let dead = try #require(life.candidates.first { $0.values["life"] == "dead" }).candidate
        let decision = try desk.take(life.number, candidate: dead, verdict)
        #expect(try desk.requests().isEmpty)
        _ = try desk.undo(decision.decision, verdict)
        #expect(try desk.requests().map(\.number) == [number])
        try world.hub("ministry").change(form, row, [form.field(named: "民族"): .text("02")], author: "部级操作员", now: world.clock.now)
        try await world.settle()
        #expect(try desk.requests().isEmpty)
        try world.node("A1").change(form, row, [form.field(named: "姓名"): .text("示例丙")], author: "A1")
        try await world.settle()
        #expect(try desk.requests(all: true).map(\.state) == [.agreed])
    }

    /// Answered, and the answer taken back: the owner's value stands again, as his, and the request is open.
    @Test(arguments: [1, 2]) func anAnswerTakenBackLeavesTheOwnersValue(candidate: Int) async throws {
        let (world, row, number) = try await asked(["A1"])
        let desk = OperatorDesk(try world.hub("province")), verdict = Verdict(who: "操作员", reason: "核实")
        let answer = try desk.take(number, candidate: candidate, verdict)
        #expect(try nationality(world, "province", row) == (candidate == 1 ? "03" : "02"))
        _ = try desk.undo(answer.decision, verdict)
        #expect(try desk.requests().map(\.number) == [number] && desk.requests()[0].stands == ["nationality": "03"])
        #expect(try nationality(world, "province", row) == "03")
        try await world.settle()
        for hub in ["province", "ministry"] { #expect(try nationality(world, hub, row) == "03", "\(hub)") }
        #expect(Set(try world.digests(school: "A").values).count == 1)
        // Whoever was told no asks again; he is not given it.
        try world.node("A1").change(
            Embedded.catalogue["general.student.basic"]!, row, [Embedded.catalogue["general.student.basic"]!.field(named: "民族"): .text("04")], author: "A1")
        try await world.settle()
        #expect(try nationality(world, "province", row) == "03" && desk.cases().allSatisfy { $0.kind == "owner" })
    }

    /// A twin that is equal but for what is asked for: merged away by the system, its request would have closed itself as if it had been granted.
    @Test func aRequestIsNotMergedAwayUnseen() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        let (form, row) = try world.node("A2").addExamples(author: "初始数据", school: "A")["general.student.basic"]!
        let nationality = try form.field(named: "民族")
        try await world.settle()
        try world.hub("ministry").change(form, row, [nationality: .text("03")], author: "部级操作员", now: world.clock.now)
        try await world.settle()
        // The smaller id survives: the row that somebody asks about would go.
        let columns = form.fields.map(\.id).joined(separator: ", ")
        let stranger = try DatabaseQueue(path: world.node("A1").directory + "/node.db")
        try await stranger.write { try $0.execute(sql: "INSERT INTO \(form.table) (id, \(columns)) SELECT 1, \(columns) FROM \(form.table)") }
        try stranger.close()
        try world.node("A2").change(form, row, [nationality: .text("02")], author: "乙校业务员")
        for node in ["A2", "A1"] { try await world.sync(node) }
        let province = try world.hub("province")
        let desk = OperatorDesk(province)
        #expect(try desk.cases().map(\.kind).sorted() == ["owner", "twins"])
        let twins = try #require(try desk.cases(kind: "twins").first), request = try #require(try desk.requests().first)
        try await hub(province, "conflicts", "merge", "\(twins.number)", "--version", "\(twins.version)", "--reason", "同一个人")
            .expect(3, "has an open change request: case \(request.number)", "Decide that case first")
        _ = try desk.take(request.number, candidate: 1, Verdict(who: "操作员", reason: "以部级为准"))
        // Nobody asks any more, and the two are equal: the system merges them with that decision.
        #expect(try desk.cases().isEmpty)
        try await world.settle()
        #expect(Set(try world.digests(school: "A").values).count == 1)
        #expect(try desk.requests(all: true).map(\.state) == [.decided])
    }

    // MARK: put

    @Test func anOwnerPutsARowWhereItSits() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"])
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let province = try world.hub("province")
        let form = Embedded.catalogue["general.class"]!
        let number = form.example["class_number"]!.shown
        try await hub(province, "put", "班级信息", "--school", Self.schoolA, "班号=\(number)", "备注=省级写的").expect(0, "changed")
        try await hub(province, "put", "班级信息", "--school", Self.schoolA, "班号=\(number)", "备注=省级写的").expect(0, "is so already")
        try await hub(province, "put", "班级信息", "--school", Self.schoolA, "班号=20249901").expect(3, "is refused", "nothing was written")
        try await hub(province, "put", "班级信息", "--school", "3641999999", "班号=\(number)").expect(2, "no school with code 3641999999", "zzsync hub schools")
        try await hub(province, "put", "班级", "--school", Self.schoolA, "班号=1").expect(2, "no form '班级'", "zzsync forms")
        try await hub(province, "put", "班级信息", "--school", Self.schoolA, "班=1").expect(2, "no field '班'")
        try await world.settle()
        var remark: String?
        try world.node("A1").list(form: form, limit: 1) { remark = $0.values[try form.field(named: "备注")].shown }
        #expect(remark == "省级写的")
        #expect(Set(try world.digests(school: "A").values).count == 1)
        #expect(try province.author(form, try #require(try rowID(province, form, number)), field: try form.field(named: "备注")) == "赵六")
    }

    private func rowID(_ home: HubHome, _ form: Form, _ key: String) throws -> RowID? {
        try home.database.read { db in
            try KeyLookup.rows(db, form, scope: try HubHome.scope(db, school: Self.schoolA)!, key: [.text(key)]).first
        }
    }

    // MARK: import and compare

    /// A workbook of classes with a column of school codes: (school, class number, name).
    private func workbook(_ rows: [(String, String, String)]) throws -> String {
        let form = Embedded.catalogue["general.class"]!
        let file = path("classes.xlsx")
        let book = try WorkbookWriter(path: file, sheet: "班级信息", header: [WorkbookRows.schoolColumn] + form.fields.map(\.title))
        for (school, number, name) in rows {
            try book.append([school] + form.fields.map { field in
                field.id == "class_number" ? number : field.id == "class_name" ? name : form.example[field.id]?.shown ?? ""
            })
        }
        try book.close()
        return file
    }

    @Test func aWorkbookIsRoutedBySchoolAndTwinsAreNeverSilent() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "B1"])
        for letter in ["A", "B"] { _ = try world.node(letter + "1").addExamples(author: "初始数据", school: letter) }
        let form = Embedded.catalogue["general.class"]!
        let (number, name) = (try form.field(named: "班号"), try form.field(named: "班级名称"))
        _ = try world.node("A1").add(form, [number: .text("20249901"), name: .text("一班")], author: "甲")
        _ = try world.node("A1").add(form, [number: .text("20249902"), name: .text("学校叫的")], author: "甲")
        try await world.settle()
        let province = try world.hub("province")
        let file = try workbook([
            (Self.schoolA, "20249901", "一班"), (Self.schoolA, "20249902", "登记的"), (Self.schoolA, "20249903", "三班"), (Self.schoolB, "20249903", "三班"),
        ])
        defer { try? FileManager.default.removeItem(atPath: file) }
        let before = try province.digests(school: Self.schoolA).mapValues(\.digest)
        try await hub(province, "compare", "班级信息", file, "--source", "学籍系统")
            .expect(0, "missing\t\(Self.schoolA)\t20249903", "班级名称：学籍系统 登记的，here 学校叫的", "extra", "1 equal")
        try await hub(province, "import", "班级信息", file, "--source", "学籍系统", "--dry-run").expect(0, "Dry run", "4 added", "2 beside a row")
        #expect(try province.digests(school: Self.schoolA).mapValues(\.digest) == before, "neither of them writes")
        #expect(try OperatorDesk(province).cases().isEmpty)
        let report = try await hub(province, "import", "班级信息", file, "--source", "学籍系统", "--json").expect(0).json()
        #expect(report["added"] as? Int == 4 && report["twins"] as? Int == 2 && report["twins_merged"] as? Int == 1, "\(report)")
        #expect(try OperatorDesk(province).cases().map(\.kind) == ["twins"])
        try await hub(province, "import", "班级信息", file, "--source", "学籍系统").expect(3, "枢纽已写过这一行", "--update", "Nothing was written")
        let mended = try workbook([(Self.schoolA, "20249903", "三班改名")])
        defer { try? FileManager.default.removeItem(atPath: mended) }
        try await hub(province, "import", "班级信息", mended, "--source", "学籍系统", "--update").expect(0, "1 changed")
        try await world.settle()
        let node = try world.node("B1")
        #expect(try node.get(form: form, key: ["20249903"])?.values[name] == .text("三班"))
        #expect(try world.node("A1").get(form: form, key: ["20249903"])?.values[name] == .text("三班改名"))
        for letter in ["A", "B"] { #expect(Set(try world.digests(school: letter).values).count == 1, "school \(letter)") }
    }

    @Test func everyFaultOfAnImportIsToldInOnePassAndNothingIsWritten() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1"])
        _ = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let province = try world.hub("province")
        let before = try province.digests(school: Self.schoolA).mapValues(\.digest)
        let file = try workbook([
            (Self.schoolA, "20249901", ""), ("3641999999", "20249902", "二班"), ("", "20249903", "三班"), (Self.schoolA, "20249904", "四班"),
            (Self.schoolA, "20249904", "又四班"),
        ])
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await hub(province, "import", "班级信息", file, "--source", "学籍系统").expect(
            3, "第2行 班级名称\terror\t班级名称为必填项", "第3行 学校标识码\terror\t本枢纽没有标识码为“3641999999”的学校", "第4行 学校标识码\terror\t没有写明是哪所学校",
            "第6行 班号\terror\t20249904与第5行重复", "Nothing was written")
        try await hub(province, "import", "班级信息", file, "--source", "学籍系统", "--school", Self.schoolA).expect(3, "Nothing was written")
        try await hub(province, "import", "班级信息", "/nowhere.xlsx", "--source", "学籍系统").expect(2, "cannot be read")
        try await hub(province, "import", "班级信息", file).expect(2, "--source")
        #expect(try province.digests(school: Self.schoolA).mapValues(\.digest) == before)
    }
}
