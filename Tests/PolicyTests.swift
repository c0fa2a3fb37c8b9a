import Foundation
import GRDB
import Testing

@testable import Hub
@testable import Node
@testable import Shared
@testable import zzsync

/// Policies from files: which one counts, what a wrong file is told, and that what they decide is a decision like any other.
@Suite struct PolicyTests {
    private static let shipped = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("conflicts/policies").path
    private static let school = "3641990001"

    private static func rules(_ text: String) throws -> PolicyBook {
        PolicyBook(rules: try PolicyFile.parse(text, path: "policies/a.toml", catalogue: Embedded.catalogue))
    }

    // MARK: wrong files

    struct Mistake: Sendable, CustomTestStringConvertible {
        let old: String, new: String, line: Int
        /// Words of the message, and of what to do next.
        let words: [String]
        var testDescription: String { new }
    }

    private static let good = """
        [[policy]]
        form = "校区信息"
        fields = ["校区负责人"]
        until = 2026-12-31
        policy = "newest"

        [[policy]]
        form = "学生基本信息"
        fields = ["民族"]
        school = "3641990001"
        policy = "owner"
        owner = "ministry"
        reason = "公安"
        """

    @Test(arguments: [
        Mistake(old: "form = \"校区信息\"", new: "form = \"校区信\"", line: 2, words: ["no form '校区信'", "Forms are", "校区信息"]),
        Mistake(old: "form = \"校区信息\"\n", new: "", line: 1, words: ["names no form"]),
        Mistake(old: "[\"校区负责人\"]", new: "[\"校区负责\"]", line: 3, words: ["no field or group '校区负责'", "Did you mean '校区负责人'", "校区号"]),
        Mistake(old: "[\"校区负责人\"]", new: "\"校区负责人\"", line: 3, words: ["not a list of texts"]),
        Mistake(old: "[\"校区负责人\"]", new: "[]", line: 3, words: ["not a list of texts"]),
        Mistake(old: "policy = \"newest\"", new: "policy = \"latest\"", line: 5, words: ["'latest' is no policy", "manual, owner, newest, union"]),
        Mistake(old: "policy = \"newest\"", new: "reason = \"x\"", line: 1, words: ["says no policy", "manual, owner, newest, union"]),
        Mistake(old: "policy = \"newest\"", new: "policy = 3", line: 5, words: ["'policy' is not a text"]),
        Mistake(old: "[\"校区负责人\"]", new: "[\"校区号\"]", line: 5, words: ["'newest' cannot decide '校区号'", "key"]),
        Mistake(old: "policy = \"newest\"", new: "policy = \"union\"", line: 5, words: ["'union' cannot decide '校区负责人'", "multi-choice"]),
        Mistake(old: "until = 2026-12-31", new: "until = \"2026-02-30\"", line: 4, words: ["'until' is no date", "until = 2026-12-31"]),
        Mistake(old: "until = 2026-12-31", new: "until = \"soon\"", line: 4, words: ["'until' is no date"]),
        Mistake(old: "until = 2026-12-31", new: "until = 2026-13-01", line: 4, words: ["Mend the TOML there"]),
        Mistake(old: "until = ", new: "unitl = ", line: 4, words: ["'unitl' is no key of a policy", "form, fields, school, until"]),
        Mistake(old: "policy = \"newest\"", new: "policy = \"newest", line: 5, words: ["Mend the TOML there"]),
        Mistake(old: "school = \"3641990001\"", new: "school = \"36419\"", line: 10, words: ["'36419' is no school code", "10 digits"]),
        Mistake(old: "owner = \"ministry\"", new: "owner = \"部级\"", line: 12, words: ["'部级' is no tier", "ministry, province", "source"]),
        Mistake(old: "reason = \"公安\"", new: "source = \"公安\"", line: 13, words: ["one owner"]),
        Mistake(old: "policy = \"owner\"", new: "policy = \"manual\"", line: 12, words: ["belongs to the policy owner alone"]),
        Mistake(
            old: "form = \"校区信息\"\nfields = [\"校区负责人\"]\nuntil = 2026-12-31\npolicy = \"newest\"", new: "form = \"班级信息\"\npolicy = \"union\"",
            line: 3, words: ["'union' can decide nothing in 班级信息", "multi-choice"]),
        Mistake(old: "[[policy]]\nform = \"校区信息\"", new: "# 校区\n[[ policy ]] # 一\nform = \"校区信\"", line: 3, words: ["no form '校区信'"]),
        Mistake(old: "[[policy]]\nform = \"校区信息\"", new: "title = \"x\"\n[[policy]]\nform = \"校区信息\"", line: 1, words: ["'title' is no key", "[[policy]]"]),
    ]) func mistakeIsNamed(_ mistake: Mistake) throws {
        _ = try Self.rules(Self.good)
        #expect(Self.good.contains(mistake.old))
        let text = Self.good.replacingOccurrences(of: mistake.old, with: mistake.new)
        let failure = #expect(throws: Failure.self) { try Self.rules(text) }
        let said = try #require(failure)
        #expect(said.kind == .usage)
        #expect(said.what.contains("policies/a.toml, line \(mistake.line)"), "\(said.what)")
        for word in mistake.words { #expect(said.description.contains(word), "\(said)") }
    }

    /// One block, and a table where a list belongs.
    @Test func aTableIsNoListOfBlocks() {
        #expect { try Self.rules("# 办法\n[policy]\nform = \"校区信息\"\n") } throws: {
            "\($0)".contains("policies/a.toml, line 2: 'policy' is no list of blocks") && "\($0)".contains("[[policy]]")
        }
    }

    private static func folder(_ files: [String: Data]) throws -> String {
        let folder = NSTemporaryDirectory() + "zz-policies-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (name, bytes) in files { try bytes.write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
        return folder
    }

    /// GBK, UTF-16, a byte order mark, lines of Windows: what editors save. "班级信息" in GBK is B0 E0 BC B6 D0 C5 CF A2.
    @Test func whateverProgramSavedIt() throws {
        let gbk = Data("# x\n[[policy]]\nform = \"".utf8) + [0xB0, 0xE0, 0xBC, 0xB6, 0xD0, 0xC5, 0xCF, 0xA2] + Data("\"\npolicy = \"manual\"\n".utf8)
        let wide = Data([0xFF, 0xFE]) + Data("[[policy]]\n".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] })
        for (bytes, line, hint) in [(gbk, 3, "GBK"), (wide, 1, "UTF-16")] {
            let folder = try Self.folder(["10.toml": bytes])
            defer { try? FileManager.default.removeItem(atPath: folder) }
            #expect { try PolicyFile.load(folder: folder, catalogue: Embedded.catalogue) } throws: {
                ($0 as? Failure)?.kind == .usage && "\($0)".contains("10.toml, line \(line): the text is not UTF-8") && "\($0)".contains(hint)
            }
        }
        let windows = { (text: String) in Data([0xEF, 0xBB, 0xBF]) + Data(text.replacing("\n", with: "\r\n").utf8) }
        let folder = try Self.folder(["10.toml": windows(Self.good)])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try PolicyFile.load(folder: folder, catalogue: Embedded.catalogue).rules.map(\.place) == ["10.toml, line 1", "10.toml, line 7"])
        try windows(Self.good.replacing("newest", with: "latest")).write(to: URL(fileURLWithPath: folder + "/10.toml"))
        #expect { try PolicyFile.load(folder: folder, catalogue: Embedded.catalogue) } throws: { "\($0)".contains("10.toml, line 5: 'latest' is no policy") }
    }

    @Test func aFileThatIsNotReadIsSaid() throws {
        let good = Data(Self.good.utf8)
        let folder = try Self.folder(["60.TOML": good, "70.toml.bak": good, "80.txt": good, ".90.toml": good])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let book = try PolicyFile.load(folder: folder, catalogue: Embedded.catalogue)
        #expect(book.rules.map(\.place) == ["60.TOML, line 1", "60.TOML, line 7"], "whatever the case of its letters")
        #expect(book.unread == [".90.toml", "70.toml.bak", "80.txt"])
        #expect(book.warning?.contains("70.toml.bak") == true && book.warning?.contains("end in .toml") == true)
        #expect(try PolicyFile.load(folder: Self.shipped, catalogue: Embedded.catalogue).warning == nil)
    }

    // MARK: which one counts

    private static func policy(_ book: PolicyBook, _ form: String, _ field: String, school: String?, now: Int64 = 0) throws -> Policy? {
        let form = try Embedded.catalogue.form(named: form)
        let index = try form.field(named: field)
        let group = form.groups.first { $0.fields.contains(index) }!
        return book.overrides(Embedded.catalogue, school: school, now: now)[form.number]?[group.number]?.policy
    }

    @Test func whatNamesMoreCounts() throws {
        let book = try Self.rules("""
            [[policy]]
            form = "校区信息"
            school = "3641990001"
            policy = "manual"
            [[policy]]
            form = "校区信息"
            fields = ["校区负责人"]
            policy = "newest"
            [[policy]]
            form = "校区信息"
            policy = "owner"
            [[policy]]
            form = "校区信息"
            fields = ["备注"]
            policy = "manual"
            [[policy]]
            form = "校区信息"
            fields = ["备注"]
            policy = "newest"
            """)
        #expect(try Self.policy(book, "校区信息", "校区负责人", school: "3641990002") == .newest, "fields before the form")
        #expect(try Self.policy(book, "校区信息", "校区名称", school: "3641990002") == .owner)
        #expect(try Self.policy(book, "校区信息", "校区负责人", school: "3641990001") == .manual, "the school before fields")
        #expect(try Self.policy(book, "校区信息", "备注", school: nil) == .newest, "of two equal ones the later")
        #expect(try Self.policy(book, "学校基本信息", "备注", school: nil) == nil, "the catalogue's")
    }

    @Test func aPolicyOfAWholeFormLeavesOutWhatItCannotDecide() throws {
        let book = try Self.rules("[[policy]]\nform = \"校区信息\"\npolicy = \"newest\"\n")
        #expect(try Self.policy(book, "校区信息", "校区名称", school: nil) == .newest)
        #expect(try Self.policy(book, "校区信息", "校区号", school: nil) == nil, "a clock does not decide a key")
    }

    @Test func aPolicyEndsWithItsLastDayInChina() throws {
        let book = try Self.rules(Self.good)
        let end: Int64 = 1_798_732_800         // 2027-01-01T00:00:00+08:00
        #expect(try Self.policy(book, "校区信息", "校区负责人", school: nil, now: end - 1) == .newest)
        #expect(try Self.policy(book, "校区信息", "校区负责人", school: nil, now: end) == nil)
    }

    @Test func theShippedPoliciesAreGood() throws {
        #expect(try PolicyFile.load(folder: Self.shipped, catalogue: Embedded.catalogue).rules.count >= 4)
    }

    // MARK: decisions by the system

    /// Two nodes of one school apart, each with a value of a field; both are merged.
    private func apart(
        _ form: String, _ field: String, _ texts: (String, String), days: (Int, Int) = (0, 0), policies: String = ""
    ) async throws -> (world: zzsync.World, form: Form, row: RowID, field: Int) {
        let world = try await zzsync.World(
            catalogue: Embedded.catalogue, nodes: ["A1", "A2"], policies: policies.isEmpty ? PolicyBook() : try Self.rules(policies))
        let rows = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let (form, row) = rows[try Embedded.catalogue.form(named: form).id]!
        let index = try form.field(named: field)
        try world.node("A1").change(form, row, [index: .text(texts.0)], author: "甲", days: days.0)
        try world.node("A2").change(form, row, [index: .text(texts.1)], author: "乙", days: days.1)
        for name in ["A1", "A2", "A1"] { try await world.sync(name) }
        return (world, form, row, index)
    }

    private let byFile = "[[policy]]\nform = \"校区信息\"\nfields = [\"校区负责人\"]\npolicy = \"newest\"\nreason = \"人员变动\"\n"

    @Test func whatAPolicyDecidesIsJournalledWithItsFile() async throws {
        let (world, form, row, field) = try await apart("校区信息", "校区负责人", ("示例壬", "示例癸"), days: (0, 1), policies: byFile)
        let hub = try world.hub("province")
        #expect(try hub.values(form, row)?[field] == .text("示例癸"))
        let entry = try #require(try OperatorDesk(hub).journal().first)
        #expect(entry.kind == "newest" && entry.who == "zzsync" && entry.policy == "a.toml, line 1")
        #expect(entry.reason.contains("取最新") && entry.reason.contains("人员变动"), "\(entry.reason)")
        #expect(entry.taken.contains("示例癸") && entry.taken.contains("示例壬"))
        #expect(try OperatorDesk(hub).cases().isEmpty, "it asks nobody")
    }

    @Test(arguments: [(0, 1), (1, 0)]) func whatAPolicyDecidedIsUndoneAndAsked(days: (Int, Int)) async throws {
        let (world, form, row, field) = try await apart("校区信息", "备注", ("甲的备注", "乙的备注"), days: days)
        let hub = try world.hub("province")
        let desk = OperatorDesk(hub)
        let entry = try #require(try desk.journal().first)
        #expect(entry.policy == "catalogue")
        let decided = try hub.digests(school: Self.school).mapValues(\.digest)
        let lost = days.0 > days.1 ? "乙的备注" : "甲的备注"
        _ = try desk.undo(entry.decision, Verdict(who: "操作员", reason: "两个都要核实"))
        let open = try #require(try desk.cases().first)
        #expect(open.candidates.map { $0.values["remark"]! }.sorted() == ["乙的备注", "甲的备注"].sorted())
        let candidate = try #require(open.candidates.first { $0.values["remark"] == lost })
        _ = try desk.take(open.number, candidate: candidate.candidate, Verdict(who: "操作员", reason: "落败的是对的"))
        try await world.settle()
        #expect(try world.node("A1").values(form, row)?[field] == .text(lost))
        #expect(Set(try world.digests(school: "A").values).count == 1)
        // Back again, as the policy had it.
        let taken = try #require(try desk.journal().last)
        _ = try desk.undo(taken.decision, Verdict(who: "操作员", reason: "还是原来的"))
        let again = try #require(try desk.cases().first?.candidates.first { $0.values["remark"] != lost })
        _ = try desk.take(open.number, candidate: again.candidate, Verdict(who: "操作员", reason: "照旧"))
        #expect(try hub.digests(school: Self.school).mapValues(\.digest) == decided)
    }

    @Test func anUndoAfterAnotherWriteIsRefused() async throws {
        let (world, form, row, field) = try await apart("校区信息", "备注", ("甲的备注", "乙的备注"), days: (0, 1))
        try world.node("A1").change(form, row, [field: .text("见过再改")], author: "甲")
        try await world.settle()
        let desk = OperatorDesk(try world.hub("province"))
        let entry = try #require(try desk.journal().first)
        #expect { try desk.undo(entry.decision, Verdict(who: "操作员", reason: "r")) } throws: { "\($0)".contains("written again by 甲") }
    }

    /// A clock years ahead is clamped when its write arrives; a write of the next day, which had not seen it, is newer.
    @Test func aClockYearsAheadDoesNotKeepWinning() async throws {
        let world = try await zzsync.World(catalogue: Embedded.catalogue, nodes: ["A1", "A2"])
        let rows = try world.node("A1").addExamples(author: "初始数据", school: "A")
        try await world.settle()
        let (form, row) = rows["general.school.campus"]!
        let remark = try form.field(named: "备注")
        try world.node("A1").change(form, row, [remark: .text("钟快十年")], author: "甲", years: 10)
        try await world.sync("A1")
        world.clock.advance(days: 1)
        try world.node("A2").change(form, row, [remark: .text("第二天填的")], author: "乙", days: 1)
        try await world.settle()
        for name in ["province", "ministry"] {
            #expect(try world.hub(name).values(form, row)?[remark] == .text("第二天填的"), "\(name)")
        }
        let stamps = try world.hub("province").database.read { db in
            try Row.fetchAll(db, sql: "SELECT time, clamped FROM zz_stamp WHERE clamped IS NOT NULL")
        }
        #expect(stamps.count == 1, "the raw time is kept, and another one only where it lies ahead")
        #expect(try #require(stamps.first)["time"] as Int64 > (stamps[0]["clamped"] as Int64) + 9 * 31_556_952)
    }

    // MARK: at the terminal

    @Test func aHubBeginsWithPolicyFilesAndAWrongOneStopsIt() async throws {
        let folder = NSTemporaryDirectory() + "zz-policy-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func hub(_ words: String...) async throws -> Ended {
            try await Programs.run(Programs.zzsync, ["hub"] + words + ["--home", folder + "/hub"])
        }
        try await hub("init", "--level", "province", "--code", "41", "--name", "示例省", "--policies", Self.shipped).expect(0, "3 policy files")
        try await hub("policies").expect(0, "owner 学籍系统", "校区负责人", "until 2026-12-31", "[20-contacts.toml, line 3]")
        try await hub("policies", "--form", "校区信息", "--json").expect(0, "\"in_force\" : true")
        // Of two that name equally much the later one counts, and of others the narrower one; the list says which.
        try "[[policy]]\nform = \"校区信息\"\nfields = [\"校区负责人\"]\npolicy = \"newest\"\n".write(
            toFile: folder + "/hub/policies/21.toml", atomically: true, encoding: .utf8)
        try await hub("policies").expect(0, "but 校区负责人: [21.toml, line 1] counts")
        try FileManager.default.removeItem(atPath: folder + "/hub/policies/21.toml")
        #expect(try await hub("policies").expect(0).out.contains("21.toml") == false)
        try "x".write(toFile: folder + "/hub/policies/50.txt", atomically: true, encoding: .utf8)
        try await hub("policies").expect(0, "Not read in the policy folder: 50.txt")
        #expect(try await hub("policies", "--json").expect(0).json()["not_read"] as? [String] == ["50.txt"])
        try "[[policy]]\nform = \"校区信息\"\npolicy = \"latest\"\n".write(toFile: folder + "/hub/policies/40.toml", atomically: true, encoding: .utf8)
        try await hub("serve", "--listen", "127.0.0.1:0").expect(2, "policies/40.toml, line 3: 'latest' is no policy", "manual, owner, newest, union")
    }
}
