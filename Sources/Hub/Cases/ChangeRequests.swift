// Change requests: what was asked for against its owner's value (一数一源). Each is a case of kind `owner`; this is the view of
// them that an owner works from, on paper or on screen.

import Foundation
import GRDB
import Shared

package struct ChangeRequest: Codable, Sendable {
    package enum State: String, Codable, Sendable {
        case open
        /// What stands has come to agree.
        case agreed
        /// The row is gone.
        case gone
        /// An operator of this hub took the asked-for value, or kept the owner's.
        case decided
    }

    /// A value that is asked for, and who asks.
    package struct Asked: Codable, Sendable {
        package var values: [String: String]
        package var author: String
        package var time: Int64
        package var from: String
    }

    package var number: Int64
    package var school: String
    package var form: String
    package var row: String
    package var key: String
    /// What stands (once it is closed: stood then), and what is asked for, the newest last.
    package var stands: [String: String]
    /// Who wrote what stands, and from where it came: not the owner any more, where the policy has ended or the parent has written.
    package var standsBy: String
    package var asked: [Asked]
    package var state: State
    package var openedAt: Int64
    package var closedAt: Int64?
    /// Who closed it and why; empty where it closed itself.
    package var answer: String
    /// Why the owner's value stands, and the policy that says so.
    package var reason: String
    package var policy: String

    enum CodingKeys: String, CodingKey {
        case standsBy = "stands_by", number = "request", school, form, row, key, stands, asked, state, answer, reason, policy
        case openedAt = "opened_at", closedAt = "closed_at"
    }
}

extension OperatorDesk {
    /// - Parameter all: those that are closed too.
    package func requests(form: Form? = nil, school: String? = nil, all: Bool = false) throws(Failure) -> [ChangeRequest] {
        if let school { _ = try home.scope(school: school) }
        let numbers = try read { db in
            try Int64.fetchAll(
                db, sql: "SELECT number FROM zz_case WHERE kind = 'owner' AND (?1 OR closed_at IS NULL) AND (?2 IS NULL OR form = ?2) ORDER BY number",
                arguments: [all, form?.number])
        }
        return try numbers.map { (number) throws(Failure) in try request(number) }.filter { school == nil || $0.school == school }
    }

    package func request(_ number: Int64) throws(Failure) -> ChangeRequest {
        let item = try show(number)
        guard item.kind == "owner", let stands = item.candidates.first else {
            throw Failure(.usage, "Case \(number) is no change request.", next: "`zzsync hub requests list` shows them.")
        }
        let (ruling, answer) = try read { db in
            (
                try Row.fetchOne(
                    db, sql: "SELECT reason, policy FROM zz_decision WHERE number = ? AND policy IS NOT NULL ORDER BY decision DESC",
                    arguments: [number]),
                try Row.fetchOne(
                    db,
                    // A question to the school closes nothing, nor does what was taken back.
                    sql: """
                        SELECT who, reason FROM zz_decision WHERE number = ? AND policy IS NULL AND kind NOT IN ('return', 'undo') AND undone_by IS NULL
                        ORDER BY decision DESC
                        """, arguments: [number])
            )
        }
        let isAgreed = item.candidates.dropFirst().contains { $0.values == stands.values }
        return ChangeRequest(
            number: number, school: item.school, form: item.form, row: item.row, key: item.key, stands: stands.values,
            standsBy: "\(stands.author), from \(item.origin(of: stands))",
            asked: item.candidates.dropFirst().map { .init(values: $0.values, author: $0.author, time: $0.time, from: item.origin(of: $0)) },
            state: item.closedAt == nil ? .open : answer != nil ? .decided : isAgreed ? .agreed : .gone, openedAt: item.openedAt, closedAt: item.closedAt,
            answer: answer.map { "\($0["who"] as String): \($0["reason"] as String)" } ?? "", reason: ruling?["reason"] ?? "",
            policy: ruling?["policy"] ?? "")
    }

    /// The requests as a workbook, one asked-for field a row: what an owner who has no hub of zzsync is given.
    package func exportRequests(_ requests: [ChangeRequest], to path: String) throws(Failure) -> Int {
        let header = [
            "申请号", "学校标识码", "表", "编号", "记录号", "栏", "所有者的值", "申请改为", "填写人", "填写时间", "来自", "状态", "提出时间", "结案时间", "答复", "依据",
        ]
        var count = 0
        do throws(WorkbookError) {
            let book = try WorkbookWriter(path: path, sheet: "变更申请", header: header)
            for request in requests {
                let form = home.catalogue[request.form]
                for asked in request.asked {
                    for (field, value) in asked.values.sorted(by: { $0.key < $1.key })
                    where request.state == .agreed || value != request.stands[field] {
                        try book.append([
                            "\(request.number)", request.school, form?.path ?? request.form, request.key, request.row,
                            form?.fields.first { $0.id == field }?.title ?? field, request.stands[field] ?? "", value, asked.author,
                            shownTime(asked.time), asked.from, request.state.rawValue, shownTime(request.openedAt),
                            request.closedAt.map(shownTime) ?? "", request.answer, "\(request.reason) [\(request.policy)]",
                        ])
                        count += 1
                    }
                }
            }
            try book.close()
        } catch {
            throw error.failure
        }
        return count
    }
}
