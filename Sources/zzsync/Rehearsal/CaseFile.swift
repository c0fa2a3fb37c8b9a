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
    var step: [Step]

    struct Step: Decodable {
        var who: String
        /// put | add | delete | sync | settle | take | expect | clock
        var `do`: String
        /// Which row: the form's id for the school's example row, or the alias of an added one.
        var row: String?
        var form: String?
        /// add: the name by which later steps call the row.
        var alias: String?
        var `as`: String?
        var set: [String: Scalar]?
        /// take: the candidate with these values, or "alive" / "dead".
        var take: [String: Scalar]?
        var life: String?
        var reason: String?
        /// clock: years by which the node's clock is wrong.
        var years: Int?
        // expect
        var values: [String: Scalar]?
        var exists: Bool?
        var cases: Int?
        var caseKind: String?
        var candidates: [String]?
        var findings: Int?
        var agree: Bool?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case who, `do`, row, form, alias, `as`, set, take, life, reason, years, values, exists, cases
            case caseKind = "case_kind", candidates, findings, agree
        }
    }

    /// - Throws: `Failure(.usage)` that names file, line and the allowed words.
    static func load(_ path: String) throws(Failure) -> CaseFile {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure(.usage, "\(path) cannot be read.", next: "Name a case file, for example conflicts/cases/01-….toml.")
        }
        let text = String(decoding: data, as: UTF8.self)
        do {
            var decoder = TOMLDecoder()
            decoder.strictDecoding = true
            let file = try decoder.decode(CaseFile.self, from: text)
            for (index, step) in file.step.enumerated() where !Rehearsal.verbs.contains(step.do) {
                throw Failure(
                    .usage, "\(path), line \(lineOf(table: "step", index: index, key: "do", in: text) ?? 0): '\(step.do)' is no step.",
                    next: "Steps are \(Rehearsal.verbs.joined(separator: ", ")).")
            }
            return file
        } catch let failure as Failure {
            throw failure
        } catch let error as TOMLParseError {
            throw Failure(.usage, "\(path), line \(error.source.begin.line): \(error.description)", next: "Mend the TOML there.")
        } catch {
            throw Failure(
                .usage, "\(path): \(error)",
                next: "Keys of a step are \(Step.CodingKeys.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
    }
}
