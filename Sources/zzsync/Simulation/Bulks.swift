// Many cases at once: the trial tells what the bulk does, and one undo takes all of it back.

import Foundation
import Hub
import Shared

/// A bulk as it stands in a hub's journal.
struct Bulk {
    let decision: Int64
    /// The cases that it decided, as the operator saw them, each with the kind of its decision.
    let cases: [(item: CaseView, kind: String)]
}

extension Country {
    /// One session of an operator who has no time for single cases.
    func decideMany(at site: Site) {
        guard let home = site.hub?.home, !site.fuse.isBlown else { return }
        do {
            let desk = OperatorDesk(home)
            if dice.chance(0.4), let bulk = bulks.removeValue(forKey: site.name) {
                if try takeBack(bulk.decision, of: bulk.cases, desk, site) != nil {
                    tallies.count(.bulkUndone)
                    note("\(site.name) takes a bulk of \(bulk.cases.count) back")
                }
            } else {
                try decideMany(desk, site)
            }
        } catch {
            if site.isDiskFull { faults.count(.hubDiskFull) } else if !site.fuse.isBlown { failures.append("\(site.name): a bulk failed: \(error)") }
        }
        countCases(at: site)
    }

    private func decideMany(_ desk: OperatorDesk, _ site: Site) throws {
        let kind = dice.pick(["cell", "cell", "cell", "life", "twins", "owner"])!
        let side = side(of: kind)
        let school = dice.chance(0.3) ? schoolCode(dice.roll(0...plan.schools - 1)) : nil
        // A school that has not joined yet has no cases, and is no filter.
        if let school, (try? desk.home.scope(school: school)) == nil { return }
        let words = ["kind=\(kind)"] + (school.map { ["school=\($0)"] } ?? [])
        let filter = try CaseFilter(words, catalogue: desk.home.catalogue)
        let cases = try desk.cases(filter)
        guard !cases.isEmpty else { return }
        let judge = judge(site)
        let before = try picture(desk)
        let tells = try cases.map { item in try foresee(item, answer(item, side), desk, site, by: judge) }
        let trial = try desk.bulk(filter, take: side, verdict(judge), dryRun: true)
        expect(try picture(desk) == before, "\(site.name): the trial of a bulk has written something")
        if dice.chance(0.1) { site.fuse.arm(dice.pick(["decide.write", "decide.commit"])!, count: 1) }
        let report = try desk.bulk(filter, take: side, verdict(judge), dryRun: false)
        expect(told(report) == told(trial), "\(site.name): a bulk of \(words) told \(told(trial)), and did \(told(report))")
        guard stands(site), let decision = report.decision else { return }
        let left = Set(report.leftCases.map(\.number))
        expect(report.decided + left.count == cases.count, "\(site.name): of \(cases.count) cases \(report.decided) decided and \(left.count) left")
        for (item, tell) in zip(cases, tells) where !left.contains(item.number) { try tell() }
        tallies.count(.bulk)
        let bulk = Bulk(decision: decision, cases: cases.filter { !left.contains($0.number) }.map { ($0, self.kind(of: side)) })
        note("\(site.name) decides \(report.decided) of \(report.cases) \(kind) cases at once")
        guard !site.fuse.isBlown else { return }
        // An undone change request is a question from then on: what stood is not what stands.
        if kind != "owner", dice.chance(0.4) { try takeBackAtOnce(bulk, desk, site, before) } else { bulks[site.name] = bulk }
    }

    private func side(of kind: String) -> Side {
        switch kind {
        case "cell", "owner": dice.pick([Side.newest, .oldest, .present, .hub, .parent, .choice(.handBack)])!
        case "life": dice.pick([Side.alive, .dead])!
        default: dice.pick([Side.choice(.merge), .choice(.distinct)])!
        }
    }

    /// As far as the oracle must know it: which life is taken, and whether two rows become one.
    private func answer(_ item: CaseView, _ side: Side) -> Choice {
        if case .choice(let choice) = side { return choice }
        guard item.kind == "life" else { return .candidate(1) }
        let life = side == .dead ? "dead" : "alive"
        return .candidate(item.candidates.last { $0.values["life"] == life }?.candidate ?? 1)
    }

    private func kind(of side: Side) -> String {
        switch side {
        case .choice(.merge): "merge"
        case .choice(.distinct): "distinct"
        case .choice(.handBack): "return"
        default: "take"
        }
    }

    /// What a report says, but for its place in the journal.
    private func told(_ report: BulkReport) -> String {
        var report = report
        report.decision = nil
        return String(decoding: WireJSON.encode(report), as: UTF8.self)
    }

    // MARK: one undo

    private func takeBackAtOnce(_ bulk: Bulk, _ desk: OperatorDesk, _ site: Site, _ before: [String]) throws {
        var why = ""
        guard let entry = try takeBack(bulk.decision, of: bulk.cases, desk, site, refused: { why = $0.what }) else {
            return expect(site.fuse.isBlown, "\(site.name): a bulk could not be taken back at once: \(why)")
        }
        let after = try picture(desk)
        let changes = Set(before).symmetricDifference(after).sorted()
        expect(changes.isEmpty, "\(site.name): '\(entry.taken)', and this is not as it was: \(changes.prefix(4))")
        tallies.count(.bulkUndoneAtOnce)
        note("\(site.name) takes a bulk of \(bulk.cases.count) back at once")
    }

    /// All rows of a hub and its questions about values, lives and twins, as lines.
    private func picture(_ desk: OperatorDesk) throws -> [String] {
        let lines = try catalogue.forms.flatMap { form in
            try self.rows(form, at: desk.home).map { key, life, words in
                "\(form.table) \(key.id) of \(key.scope), life \(life): \(words.sorted { $0.key < $1.key }.map(\.value).joined(separator: ", "))"
            }
        }
        // Of three rows of one key two pairs are asked about, whichever they are.
        return lines + (try desk.cases().filter { ["cell", "life", "twins"].contains($0.kind) }.map {
            switch $0.kind {
            case "twins": "twins \($0.form) \($0.key) of \($0.school)"
            // Its living side is signed by the row's newest edit, which an undo may be.
            case "life": "life \($0.form) \($0.row) \($0.candidates.map { $0.values["life"]! })"
            default: describe($0)
            }
        }.sorted())
    }
}
