import Foundation
import Testing

@testable import Shared
@testable import zzsync

/// The worked conflicts of conflicts/cases, played against the real node and hub code, and mistakes in such files.
@Suite struct CasebookTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("conflicts/cases").path
    static let files = (try? FileManager.default.contentsOfDirectory(atPath: folder))?.filter { $0.hasSuffix(".toml") }.sorted() ?? []

    @Test(arguments: files) func play(_ file: String) async throws {
        var rehearsal = try await Rehearsal(try CaseFile.load(Self.folder + "/" + file, catalogue: Embedded.catalogue), catalogue: Embedded.catalogue) { _ in }
        try await rehearsal.play()
    }

    @Test func theBookIsLongAndInOrder() throws {
        #expect(Self.files.count >= 40)
        let numbers = Self.files.map { Int($0.prefix(3)) }
        #expect(numbers == Array(1...Self.files.count), "numbered without gaps")
        let kinds = try Self.files.map { CaseFile.kinds.firstIndex(of: try CaseFile.load(Self.folder + "/" + $0, catalogue: Embedded.catalogue).kind)! }
        #expect(kinds == kinds.sorted(), "in the order of the kinds")
        #expect(Set(kinds).count == CaseFile.kinds.count, "of every kind")
    }

    // MARK: mistakes

    /// A case of one step, with `change` made to its text.
    private func failure(_ old: String, _ new: String, encode: (String) -> Data = { Data($0.utf8) }) async throws -> Failure {
        let text = """
            title = "示例"
            kind = "cell"
            story = "示例"
            nodes = ["A1"]
            row = "学生基本属性"

            [[step]]
            who = "A1"
            do = "put"
            set = { "家庭详细地址" = "示例路 1 号" }

            [[step]]
            who = "province"
            do = "expect"
            cases = 0
            """
        #expect(text.contains(old))
        let path = NSTemporaryDirectory() + "case-\(UInt64.random(in: 0...UInt64.max)).toml"
        try (encode(text.replacingOccurrences(of: old, with: new))).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let failure = await #expect(throws: Failure.self) {
            var rehearsal = try await Rehearsal(try CaseFile.load(path, catalogue: Embedded.catalogue), catalogue: Embedded.catalogue) { _ in }
            try await rehearsal.play()
        }
        let found = try #require(failure)
        #expect(found.what.hasPrefix(path), "the file is named first: \(found)")
        return found
    }

    struct Mistake: Sendable, CustomTestStringConvertible {
        let old: String, new: String, line: Int
        /// Words of the message, and of what to do next.
        let words: [String]
        var testDescription: String { new }
    }

    @Test(arguments: [
        Mistake(old: "do = \"put\"", new: "do = \"putt\"", line: 9, words: ["'putt' is no step", "put, add, delete"]),
        Mistake(old: "kind = \"cell\"", new: "kind = \"zelle\"", line: 2, words: ["'zelle' is no kind of case", "cell, life, twins"]),
        Mistake(old: "cases = 0", new: "case = 0", line: 15, words: ["'case' is no key of a step", "cases, case_kind"]),
        Mistake(old: "nodes =", new: "node =", line: 4, words: ["'node' is no key of a case file", "nodes, row, step"]),
        Mistake(old: "cases = 0", new: "cases = \"0\"", line: 15, words: ["cases", "wrong type"]),
        Mistake(old: "set = {", new: "set = [", line: 10, words: ["Mend the TOML there"]),
        Mistake(old: "row = \"学生基本属性\"", new: "row = \"学生属性\"", line: 7, words: ["no row '学生属性'", "general.student.attribute"]),
        Mistake(old: "do = \"put\"", new: "do = \"add\"\nform = \"班级信\"", line: 7, words: ["no form '班级信'", "zzsync forms"]),
        Mistake(old: "家庭详细地址", new: "家庭地址", line: 7, words: ["no field '家庭地址'", "Did you mean '家庭详细地址'"]),
        Mistake(old: "who = \"A1\"", new: "who = \"A9\"", line: 8, words: ["'A9' is no node or hub", "They are A1, province, ministry"]),
        // The head.
        Mistake(old: "title = \"示例\"\n", new: "", line: 1, words: ["'title' is missing", "title, kind, story, nodes and steps"]),
        Mistake(old: "title = \"示例\"", new: "title = 3", line: 1, words: ["'title' is not a text", "Write title"]),
        Mistake(old: "[[step]]", new: "[[stepp]]", line: 7, words: ["'stepp' is no key of a case file", "nodes, row, step"]),
        Mistake(old: "nodes = [\"A1\"]", new: "nodes = [\"1A\", \"x\"]", line: 4, words: ["'1A' is no name of a node", "a letter, its school's"]),
        Mistake(old: "nodes = [\"A1\"]", new: "nodes = [\"\"]", line: 4, words: ["'' is no name of a node"]),
        Mistake(old: "nodes = [\"A1\"]", new: "nodes = [\"A1\", \"A1\"]", line: 4, words: ["'A1' stands there twice"]),
        Mistake(old: "nodes = [\"A1\"]", new: "nodes = [\"A1\", \"province\"]", line: 4, words: ["'province' is no name of a node", "always there"]),
        Mistake(old: "nodes = [\"A1\"]", new: "nodes = []", line: 4, words: ["not a list of names", "nodes = [\"A1\""]),
        Mistake(old: "nodes = [\"A1\"]", new: "nodes = \"A1\"", line: 4, words: ["not a list of names"]),
        // Values: what a form's column cannot hold.
        Mistake(old: "\"家庭详细地址\" = \"示例路 1 号\"", new: "\"家庭详细地址\" = 5", line: 7, words: ["家庭详细地址 holds a text, and 5 is none", "in quotation marks"]),
        Mistake(old: "set = {", new: "row = \"班级信息\"\nset = { \"计划人数\" = \"abc\" } # {", line: 7, words: ["计划人数 holds a whole number, and abc is none", "without quotation marks"]),
        Mistake(old: "cases = 0", new: "row = \"班级信息\"\nvalues = { \"计划人数\" = \"40\" }", line: 12, words: ["计划人数 holds a whole number, and 40 is none"]),
        Mistake(old: "set = {", new: "row = \"班级信息\"\nset = { \"计划人数\" = 40, planned_size = 41 } # {", line: 7, words: ["计划人数 is named twice"]),
        // Keys that a verb does not read, and numbers that mean nothing.
        Mistake(old: "do = \"put\"\nset = {", new: "do = \"sync\"\ndays = 3 # {", line: 10, words: ["'days' does nothing in the step 'sync'", "who, do, note, refused"]),
        Mistake(old: "who = \"A1\"\ndo = \"put\"\nset = {", new: "who = \"everyone\"\ndo = \"wait\"\ndays = -3 # {", line: 10, words: ["days = -3 cannot be", "1 to 3660"]),
        Mistake(old: "do = \"put\"\nset = {", new: "do = \"clock\"\nyears = 9000000000000000000 # {", line: 10, words: ["years = 9000000000000000000 cannot be", "-100 to 100"]),
        Mistake(old: "cases = 0", new: "cases = -1", line: 15, words: ["cases = -1 cannot be"]),
        Mistake(old: "cases = 0", new: "note = \"x\"", line: 14, words: ["the step 'expect' says no values, exists", "Add one of them"]),
        Mistake(old: "do = \"put\"\nset = {", new: "do = \"put\" # {", line: 9, words: ["the step 'put' says no set", "Add it"]),
        Mistake(old: "cases = 0", new: "case_kind = \"zelle\"", line: 15, words: ["'zelle' is no case_kind", "cell, life, twins, owner, rule, clone"]),
        Mistake(old: "cases = 0", new: "rows = 1", line: 15, words: ["'rows' counts the rows of a form"]),
        Mistake(old: "who = \"province\"\ndo = \"expect\"\ncases = 0", new: "who = \"A1\"\ndo = \"undo\"", line: 13, words: ["'A1' is no hub", "province, ministry"]),
        Mistake(old: "who = \"province\"\ndo = \"expect\"\ncases = 0", new: "who = \"A1\"\ndo = \"settle\"", line: 13, words: ["everyone"]),
        Mistake(old: "who = \"province\"\ndo = \"expect\"\ncases = 0", new: "who = \"A1\"\ndo = \"clone\"\nalias = \"A\"", line: 15, words: ["'A' is no name for the second machine", "there are A1"]),
        Mistake(old: "who = \"province\"\n", new: "", line: 12, words: ["does not say 'who'"]),
        Mistake(old: "do = \"put\"\nset = {", new: "do = \"put\"\nset = {} # {", line: 9, words: ["the step 'put' says no set"]),
        Mistake(old: "do = \"put\"\nset = {", new: "do = \"upgrade\"\nto = \"x\" # {", line: 10, words: ["'x' is no version", "There are none here"]),
        Mistake(
            old: "do = \"expect\"\ncases = 0", new: "do = \"add\"\nform = \"班级信息\"\nschool = \"\"", line: 16,
            words: ["'' is no school of this rehearsal", "Schools are A"]),
        Mistake(old: "set = {", new: "row = \"/\"\nset = {", line: 7, words: ["no form ''"]),
        // Policies and versions of the catalogue.
        Mistake(old: "cases = 0", new: "cases = 0\n\n[policy]\nform = \"班级信息\"", line: 17, words: ["'policy' is no list of blocks", "[[policy]]"]),
        Mistake(old: "cases = 0", new: "cases = 0\n[[version]]\nname = \"新\"\nsites = [\"Z9\"]", line: 18, words: ["'Z9' is no node or hub", "A1, province, ministry"]),
        Mistake(
            old: "cases = 0", new: "cases = 0\n[[version]]\nname = \"新\"\n[[version.fields]]\nform = \"班级信息\"\nnumber = 1\nid = \"x\"\ntitle = \"新栏\"",
            line: 16, words: ["1 cannot be the number of a new field of 班级信息", "Numbers go from", "126"]),
        Mistake(
            old: "cases = 0", new: "cases = 0\n[[version]]\nname = \"新\"\nfields = [{ form = \"班级信息\", number = 90, id = \"x\", title = \"新栏\", type = \"wort\" }]",
            line: 18, words: ["'wort' is no type", "text, integer"]),
        Mistake(
            old: "cases = 0", new: "cases = 0\n[[version]]\nname = \"新\"\nfields = [{ form = \"班级信\", number = 90, id = \"x\", title = \"新栏\" }]",
            line: 18, words: ["no form '班级信'"]),
        Mistake(
            old: "cases = 0", new: "cases = 0\n[[version]]\nname = \"新\"\nfields = [{ form = \"班级信息\", numbr = 90 }]",
            line: 18, words: ["'numbr' is no key of fields", "form, number, id, title, type"]),
        Mistake(
            old: "cases = 0", new: "cases = 0\n[[version]]\nname = \"新\"\ngroups = [{ form = \"学生基本信息\", name = \"x\", fields = [\"姓名\"] }]",
            line: 18, words: ["'姓名' of 学生基本信息 cannot join a group"]),
        Mistake(
            old: "cases = 0", new: "cases = 0\n[[version]]\nname = \"新\"\nforms = [{ number = 1, id = \"a.b\", title = \"新表\", columns = [\"x 甲\"] }]",
            line: 18, words: ["number 1 or id 'a.b' cannot be that of a new form", "Taken are"]),
        Mistake(old: "cases = 0", new: "candidates = [\"甲\"]", line: 12, words: ["candidates: found [], must be"]),
    ]) func mistakeIsNamed(_ mistake: Mistake) async throws {
        let failure = try await failure(mistake.old, mistake.new)
        #expect(failure.what.contains("line \(mistake.line)"), "\(failure.what)")
        for word in mistake.words { #expect("\(failure.what) \(failure.next)".contains(word), "\(failure.what) \(failure.next)") }
        #expect(failure.kind == (mistake.new.contains("candidates =") ? .unmet : .usage), "\(failure)")
    }

    /// GBK as an editor of Windows saves it, and lines that end as Windows ends them, with a byte order mark.
    @Test func whateverProgramSavedIt() async throws {
        let gbk = try await failure("title = \"示例\"", "title = \"甲\"") { text in
            Data(text.utf8).split(separator: 0x0A, omittingEmptySubsequences: false).enumerated().map { $0 == 2 ? Data([0xCA, 0xBE, 0xC0, 0xFD]) : $1 }
                .reduce(into: Data()) { $0 += $1 + [0x0A] }
        }
        #expect(gbk.what.hasSuffix("line 3: the text is not UTF-8.") && gbk.next.contains("GBK") && gbk.next.contains("UTF-8"), "\(gbk)")
        let windows = try await failure("cases = 0", "cases = -1") { Data([0xEF, 0xBB, 0xBF]) + Data($0.replacing("\n", with: "\r\n").utf8) }
        #expect(windows.what.contains("line 15: cases = -1 cannot be"), "\(windows)")
    }

    /// A step that must be refused and is not, an expectation that fails in such a step, a case that is not there: the file is not what happened.
    @Test func whatGoesOtherwiseHasAStatusOfItsOwn() async throws {
        for new in ["do = \"put\"\nrefused = true\nset = {", "do = \"sync\"\nrefused = true # {"] {
            let failure = try await failure("do = \"put\"\nset = {", new)
            #expect(failure.kind == .unmet && failure.what.contains("line 7") && failure.what.contains("it must be refused, and was not"), "\(failure)")
        }
        for (row, said) in [("班级信息/", "no living row at A1 has the key ''"), ("班级信息/9", "no living row at A1 has the key '9'")] {
            let failure = try await failure("set = {", "row = \"\(row)\"\nset = {")
            #expect(failure.kind == .unmet && failure.what.contains("line 7") && failure.what.contains(said), "\(failure)")
        }
        let dead = try await failure("set = {", "row = \"班级信息\"\nset = { \"计划人数\" = 30 }\n[[step]]\nwho = \"A1\"\ndo = \"delete\"\n[[step]]\nwho = \"A1\"\ndo = \"delete\" # {")
        #expect(dead.kind == .unmet && dead.what.contains("line 15") && dead.what.contains("the row does not live at A1"), "\(dead)")
        for (new, said) in [("do = \"undo\"", "no decision to undo"), ("do = \"merge\"", "no open case fits; open about this row are none")] {
            let failure = try await failure("do = \"expect\"\ncases = 0", new)
            #expect(failure.kind == .unmet && failure.what.contains("line 12") && failure.what.contains(said), "\(failure)")
            #expect(failure.next.contains("went otherwise than its file says"))
        }
        let path = NSTemporaryDirectory() + "case-\(UInt64.random(in: 0...UInt64.max)).toml"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try "title = \"示例\"\nkind = \"cell\"\nstory = \"\"\nnodes = [\"A1\"]\n[[step]]\nwho = \"province\"\ndo = \"expect\"\ncases = 1\n"
            .write(toFile: path, atomically: true, encoding: .utf8)
        try await Programs.run(Programs.zzsync, ["hub", "conflicts", "rehearse", path])
            .expect(1, "\(path), line 5: step 1 (province expect): open cases at province: found 0, must be 1.", "went otherwise than its file says")
    }

    @Test func aMissingFileIsNamed() {
        let failure = #expect(throws: Failure.self) { try CaseFile.load("conflicts/cases/00-none.toml", catalogue: Embedded.catalogue) }
        #expect(failure?.kind == .usage)
        #expect(failure?.what.contains("00-none.toml cannot be read") == true)
    }
}
