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
    private func failure(_ old: String, _ new: String) async throws -> Failure {
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
        try text.replacingOccurrences(of: old, with: new).write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let failure = await #expect(throws: Failure.self) {
            var rehearsal = try await Rehearsal(try CaseFile.load(path, catalogue: Embedded.catalogue), catalogue: Embedded.catalogue) { _ in }
            try await rehearsal.play()
        }
        let found = try #require(failure)
        #expect(found.what.contains(path), "the file is named")
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
        Mistake(old: "who = \"A1\"", new: "who = \"A9\"", line: 7, words: ["no node 'A9'", "Nodes are A1"]),
        Mistake(old: "cases = 0", new: "candidates = [\"甲\"]", line: 12, words: ["candidates: found [], must be"]),
    ]) func mistakeIsNamed(_ mistake: Mistake) async throws {
        let failure = try await failure(mistake.old, mistake.new)
        #expect(failure.what.contains("line \(mistake.line)"), "\(failure.what)")
        for word in mistake.words { #expect("\(failure.what) \(failure.next)".contains(word), "\(failure.what) \(failure.next)") }
    }

    @Test func aMissingFileIsNamed() {
        let failure = #expect(throws: Failure.self) { try CaseFile.load("conflicts/cases/00-none.toml", catalogue: Embedded.catalogue) }
        #expect(failure?.kind == .usage)
        #expect(failure?.what.contains("00-none.toml cannot be read") == true)
    }
}
