// Quiet, and equal: what every replica must hold after the kills.

import Foundation

extension KillRun {
    func sync(_ node: Node) async throws { _ = try await exchange(node.name, ["sync", "--wait", "10"]) }

    /// A sync or forward that must succeed; a hub that still hears the killed process's upload says "busy, try later".
    func exchange(_ home: String, _ words: [String]) async throws -> Int {
        for _ in 0..<20 {
            let ending = try await zzsync(home, words + ["--json"])
            if ending.code == 7 {
                journal.append("\(home) busy: \(ending.err)")
                continue
            }
            guard ending.code == 0, let report = try? JSONSerialization.jsonObject(with: Data(ending.out.utf8)) as? [String: Any],
                let pushed = report["pushed_rows"] as? Int, let pulled = report["pulled_rows"] as? Int
            else { throw KillTrouble("\(home): \(words): \(ending.words)") }
            return pushed + pulled
        }
        throw KillTrouble("\(home): \(words) stays busy")
    }

    func settle() async throws {
        for _ in 0..<8 {
            var moved = 0
            for node in nodes { moved += try await exchange(node.name, ["sync", "--wait", "20"]) }
            moved += try await exchange("province", ["hub", "forward", "--wait", "20"])
            if moved == 0 { return }
        }
        throw KillTrouble("nodes and hubs do not come to rest")
    }

    /// Every replica holds exactly what was entered and acknowledged, and says so by its digests.
    func compare() async throws {
        try await settle()
        journal.append("compared after \(kills.values.reduce(0, +)) kills")
        for (code, school) in schools.sorted(by: { $0.key < $1.key }) {
            var digests: [String: [String: [String: Any]]] = [:]
            let stores = nodes.filter { $0.school == code }.map { ($0.name, "/node.db", "", ["digest"]) }
                + ["province", "ministry"].map {
                    ($0, "/hub.db", "WHERE scope = \(school.scope) AND _life = 1", ["hub", "digest", "--school", code])
                }
            for (name, store, filter, words) in stores {
                try await mustBe(
                    school.students.merging(school.departments) { $1 }, name, store,
                    """
                    SELECT id_number || '|' || coalesce(phone, '') FROM general_student_basic \(filter) UNION ALL
                    SELECT department_number || '|' || department_name FROM general_school_department \(filter)
                    """)
                digests[name] = try await ask(name, words)["forms"] as? [String: [String: Any]] ?? [:]
            }
            let first = digests[stores[0].0]!
            guard first.count >= 11 else { throw KillTrouble("\(stores[0].0) has digests of \(first.count) forms") }
            for (name, forms) in digests {
                for (form, digest) in forms where digest["digest"] as? String != first[form]?["digest"] as? String {
                    throw KillTrouble("\(form) of \(code): \(name) has another digest than \(stores[0].0)")
                }
            }
        }
    }

    func mustBe(_ model: [String: String], _ name: String, _ store: String, _ sql: String) async throws {
        let lines = try await sqlite(name + store, sql).split(separator: "\n").map(String.init)
        let found = Set(lines)
        let wanted = Set(model.map { "\($0.key)|\($0.value)" })
        guard found == wanted, lines.count == wanted.count else {
            throw KillTrouble(
                "\(name): \(wanted.subtracting(found).sorted().prefix(5)) are missing, \(found.subtracting(wanted).sorted().prefix(5)) should not be there: \(sql)")
        }
    }

    /// No kill left anything behind: no case, no quarantine, no half upload, no damage.
    func inspect() async throws {
        for node in nodes {
            let status = try await ask(node.name, ["status"])
            guard status["pending_rows"] as? Int == 0, status["open_cases"] as? Int == 0 else {
                throw KillTrouble("\(node.name): \(status)")
            }
            try await expect(0, node.name, ["doctor"])
        }
        for hub in ["province", "ministry"] {
            let status = try await ask(hub, ["hub", "status"])
            for name in ["waiting", "quarantined", "open_cases"] where status[name] as? Int != 0 {
                throw KillTrouble("\(hub): \(name) is \(status[name] ?? "nothing")")
            }
            let cells = status["cells"] as? [String: Int] ?? [:]
            guard let sent = cells["sent"], sent > 0, sent == cells.values.reduce(0, +) - sent else {
                throw KillTrouble("\(hub): cells do not add up: \(cells)")
            }
            for store in ["/hub.db", "/inbox.db"] {
                let found = try await sqlite(hub + store, "PRAGMA integrity_check")
                guard found == "ok" else { throw KillTrouble("\(hub)\(store): \(found)") }
            }
            let behind = try await sqlite(hub + "/hub.db", "SELECT count(*) FROM zz_scope WHERE claimed < log_end")
            guard behind == "0" else { throw KillTrouble("\(hub): key claims of \(behind) schools are behind") }
            let spool = try FileManager.default.contentsOfDirectory(atPath: folder + "/\(hub)/spool")
            guard spool.isEmpty else { throw KillTrouble("\(hub): left in the spool: \(spool)") }
        }
    }
}
