// A worked conflict as a file: who wrote what having seen what, which case must open, what each decision gives. The format is
// described in conflicts/README.md.

import Foundation
import Shared
import TOMLKit

struct CaseFile: Decodable {
    var title: String
    var kind: String
    var story: String
    /// Nodes that take part: A1 and A2 are two nodes of school A, B1 one of school B.
    var nodes: [String]
    /// The row that is meant where a step names none.
    var row: String?
    var step: [Step]
    /// The policies that count in this country: `[[policy]]` blocks, as in a file of conflicts/policies.
    private(set) var policies = PolicyBook()

    /// Where it was read from, and the line of each step.
    private(set) var path = ""
    private(set) var lines: [Int] = []

    /// Other versions of the catalogue in this country, and who works with which from the beginning.
    private(set) var version: [VersionEdits]?
    private(set) var versions: [String: Catalogue] = [:]
    var sites: [String: Catalogue] {
        (version ?? []).reduce(into: [:]) { sites, edits in for site in edits.sites ?? [] { sites[site] = versions[edits.name] } }
    }

    enum CodingKeys: String, CodingKey, CaseIterable { case title, kind, story, nodes, row, step, version }
    static let keys = CodingKeys.allCases.map(\.rawValue) + ["policy"]

    /// In the order in which the casebook stands.
    static let kinds = [
        "cell", "life", "twins", "rule", "reference", "clock", "newest", "owner", "union", "hub", "late", "tiers", "decision", "restore",
        "versions",
    ]

    struct Step: Decodable {
        var who: String
        /// One of `Rehearsal.verbs`.
        var `do`: String
        /// What a reader should know here.
        var note: String?
        /// Which row: a form's id or title for the school's example row ("B.班级信息" for school B's), the alias of an added one, or
        /// "班级信息/20240102" for whichever living row has that key.
        var row: String?
        var form: String?
        /// add: the name by which later steps call the row; clone: the name of the second machine.
        var alias: String?
        var `as`: String?
        /// add at a hub: the school's letter.
        var school: String?
        /// put and add at a hub: the register that the value comes from.
        var source: String?
        var set: [String: Scalar]?
        /// take: the candidate with these values, or "alive" / "dead".
        var take: [String: Scalar]?
        var life: String?
        var reason: String?
        /// A decision: why a rule may stay broken, and the version of the case that the operator saw.
        var explain: String?
        var version: Int?
        /// bulk: which cases, which side, and how many are decided and stay.
        var filter: [String]?
        var side: String?
        var decided: Int?
        var left: Int?
        /// The step must be refused.
        var refused: Bool?
        /// clock: years by which the node's clock is wrong.
        var years: Int?
        /// wait: how long nobody does anything.
        var days: Int?
        /// upgrade: the version that a site goes on with; none is the installed one.
        var to: String?
        /// restore: what is put back: home (the default), database or keys.
        var what: String?
        // expect
        var values: [String: Scalar]?
        var exists: Bool?
        var cases: Int?
        var caseKind: String?
        var candidates: [String]?
        var findings: Int?
        var rules: [String]?
        var history: [String: [Scalar]]?
        var author: [String: String]?
        var journal: Int?
        /// Reasons of the decisions that a node or hub has read, in order of time.
        var decisions: [String]?
        /// Open cases with an answer to a return.
        var answered: Int?
        /// Open change requests, as "column's value → value asked for".
        var requests: [String]?
        var disputed: Int?
        /// Living rows of `form`.
        var rows: Int?
        var agree: Bool?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case who, `do`, note, row, form, alias, `as`, school, source, set, take, life, reason, explain, version, refused, years
            case days, what, values, exists, cases, caseKind = "case_kind", candidates, findings, rules, history, author, journal, requests, disputed
            case rows, agree, filter, side, decided, left, decisions, answered, to
        }
    }

    /// - Throws: `Failure(.usage)` that names file, line and the allowed words.
    static func load(_ path: String, catalogue: Catalogue) throws(Failure) -> CaseFile {
        let text = try TextFile.read(path, orElse: "Name a case file, for example conflicts/cases/001-….toml.")
        do {
            let table = try TOMLTable(string: text)
            var check = CaseFileCheck(table, text: text, path: path, catalogue: catalogue)
            let versions = try check.check()
            var file = try TOMLDecoder().decode(CaseFile.self, from: text)
            (file.path, file.versions) = (path, versions)
            file.policies = PolicyBook(rules: try PolicyFile.rules(in: table, text: text, path: path, catalogue: catalogue))
            file.lines = file.step.indices.map { lineOf(table: "step", index: $0, key: nil, in: text) ?? 0 }
            return file
        } catch let failure as Failure {
            throw failure
        } catch let error as TOMLParseError {
            throw Failure(.usage, "\(path), line \(error.source.begin.line): \(error.description).", next: "Mend the TOML there.")
        } catch {
            throw Failure(
                .usage, "\(path), \(CatalogueLoader.describe(error, in: text))",
                next: "The keys and their types are described in conflicts/README.md.")
        }
    }
}
