// What happens on the days of a simulated country: sittings of clerks, syncs, merges, sessions of operators, misfortunes.

import Foundation
import GRDB
import Hub
import Node
import Shared

extension Country {
    private static let hour = 3_600_000

    /// Starts everything that goes on by itself until the country comes to rest.
    func beginDays() {
        for site in nodes { beginDays(of: site) }
        for site in hubs {
            if site.parent != nil { again(6 * Self.hour...22 * Self.hour) { await self.sync(site) } }
            again(8 * Self.hour...36 * Self.hour) { self.decide(at: site, share: 0.5, undoing: 0.2) }
        }
        if plan.hasFaults { again(2 * Self.hour...8 * Self.hour) { self.misfortune() } }
        if plan.hasVersions { again(10 * Self.hour...20 * Self.hour) { self.switchSomebody() } }
        if plan.hasCopies { again(6 * Self.hour...18 * Self.hour) { self.copyOrPutBackNode() } }
        if plan.hasHubCopies { again(8 * Self.hour...24 * Self.hour) { self.copyOrPutBackHub() } }
        again(24 * Self.hour...36 * Self.hour) { self.inspectOnTheWay() }
        guard plan.hasDeskWork else { return }
        for site in hubs { again(8 * Self.hour...20 * Self.hour) { self.decideMany(at: site) } }
        again(3 * Self.hour...8 * Self.hour) { self.putAtHub() }
    }

    func beginDays(of site: Site) {
        let sittings = Double(plan.writes) / Double(plan.nodes) / 3     // a sitting has three writes on average
        let pause = max(1, Int(plan.days * 24 * Double(Self.hour) / sittings))
        again(pause / 3...pause * 5 / 3) { self.sit(at: site, writes: self.dice.roll(1...5)) }
        again(8 * Self.hour...36 * Self.hour) { await self.sync(site) }
    }

    private func again(_ pause: ClosedRange<Int>, _ body: @escaping @SimulationActor () async -> Void) {
        scheduler.start(after: dice.roll(0...pause.upperBound)) {
            while !self.isResting {
                await body()
                await self.scheduler.sleep(self.dice.roll(pause))
            }
        }
    }

    // MARK: syncs and merges

    /// - Returns: rows that moved in either direction.
    @discardableResult func sync(_ site: Site) async -> Int {
        guard site.isUp, !site.isSyncing, !site.fuse.isBlown, isResting || scheduler.now >= site.awayUntil else { return 0 }
        let fuse = site.fuse
        site.isSyncing = true
        site.metCutAnswer = false
        defer {
            if site.fuse === fuse {
                site.isSyncing = false
                show(site)
            }
        }
        tallies.syncs += 1
        if site.isHub, plan.hasFaults, !isResting, dice.chance(0.05) { fuse.arm("forward.page", count: 1) }
        do {
            let began = scheduler.now
            let session = try site.session(Line(country: self, from: site, fuse: fuse), clock: scheduler.clock)
            site.processorMark = CPU.seconds()
            let report = try await session.run()
            if site.isHub { load.hubSeconds[site.name, default: 0] += CPU.seconds() - site.processorMark }
            countSync(of: site, report, began: began)
            note("\(site.name) syncs: \(report.pushedRows) rows up, \(report.pulledRows) down, \(report.passedOver) passed over")
            if !report.refused.isEmpty { failures.append("\(site.name) was refused: \(report.refused.joined(separator: "; "))") }
            countCases(at: site)
            return report.pushedRows + report.pulledRows
        } catch {
            meet(error, at: site, fuse)
            return 0
        }
    }

    /// A sync has failed: what the line, the disk and the end of a process can do is no failure of the run.
    private func meet(_ error: any Error, at site: Site, _ fuse: Fuse) {
        tallies.brokenSyncs += 1
        let failure = storeFailure(error, path: site.name)
        note("\(site.name) does not sync (exit code \(failure.kind.rawValue)): \(failure.what.replacing(folder, with: "FOLDER"))")
        switch failure.kind {
        case _ where fuse.isBlown: break
        case .noConnection, .busy: break
        case .refusedByPeer where site.metCutAnswer: break
        // A parent that was put back in the middle of the sync may know this incarnation only when it has been introduced again; at rest it must.
        case .refusedByPeer where site.parent!.isPutBack && !isResting: break
        case .damaged where site.isDiskFull: faults.count(site.isHub ? .hubDiskFull : .nodeDiskFull)
        default: failures.append("\(site.name): a sync failed: \(failure)")
        }
    }

    func drain(_ site: Site, after wait: Int) {
        scheduler.start(after: wait) { await self.drain(site) }
    }

    /// Merges what waits at a hub.
    func drain(_ site: Site) async {
        guard let tier = site.hub, !site.isDraining, !site.fuse.isBlown else { return }
        let fuse = site.fuse
        site.isDraining = true
        defer { if site.fuse === fuse { site.isDraining = false } }
        misunderstand(at: site)
        let before = CPU.seconds()
        do {
            try await tier.worker.drain()
        } catch {
            if site.isDiskFull {
                faults.count(.hubDiskFull)
                drain(site, after: Self.hour)
            } else if !fuse.isBlown {
                failures.append("\(site.name): the merge stopped: \(error)")
            }
        }
        let seconds = CPU.seconds() - before
        load.hubSeconds[site.name, default: 0] += seconds
        load.mergeSeconds[site.name, default: 0] += seconds
        countMerge(at: site)
        show(site)
        countCases(at: site)
    }

    // MARK: misfortunes

    private func misfortune() {
        // Hubs are few, and have more places to end at: they are drawn as often as nodes.
        let tier = dice.chance(0.5) ? hubs : nodes
        guard let site = dice.pick(tier.filter { $0.isUp && !$0.fuse.isBlown }) else { return }
        switch dice.roll(1...10) {
        case 1...6:
            let point = dice.pick(site.isHub ? Fault.hubPoints : Fault.nodePoints)!
            if point == "anytime" { site.fuse.blow(at: point) } else { site.fuse.arm(point, count: dice.roll(1...2)) }
        case 7...8:
            guard !site.isDiskFull else { return }
            fillDisk(site)
        default:
            guard let hub = dice.pick(hubs.filter(\.isUp)) else { return }
            hub.isSpoolFull = true
            scheduler.start(after: dice.roll(Self.hour...8 * Self.hour)) { hub.isSpoolFull = false }
        }
    }

    private func fillDisk(_ site: Site) {
        do {
            try site.setDiskFull(true)
            note("the disk of \(site.name) is full")
        } catch {
            failures.append("\(site.name): \(error)")
        }
        scheduler.start(after: dice.roll(2 * Self.hour...16 * Self.hour)) { self.emptyDisk(site) }
    }

    /// After a restart the disk has room anyway.
    private func emptyDisk(_ site: Site) {
        guard site.isUp, site.isDiskFull else { return }
        do { try site.setDiskFull(false) } catch { failures.append("\(site.name): \(error)") }
        if site.isHub { drain(site, after: 1_000) }
    }

    // MARK: rest

    /// No more faults, no more writes: everybody exchanges and every case is decided, until nothing moves.
    func rest() async {
        (isResting, line) = (true, .good)
        for site in sites {
            site.fuse.disarm()
            site.isSpoolFull = false
            emptyDisk(site)
        }
        await scheduler.runOut()
        switchEverybody()
        for site in hubs { scheduler.start(after: 1) { await self.understand(at: site) } }
        await scheduler.runOut()
        // Disks and crashes may have kept clerks from their work.
        while tallies.writes < plan.writes, failures.isEmpty { nodes.forEach { sit(at: $0, writes: 2) } }
        var isLastRound = false
        for _ in 0..<Self.restRounds {
            var moved = 1
            scheduler.start(after: 1) { moved = await self.restRound(everybody: isLastRound) }
            await scheduler.runOut()
            if moved == 0 && isLastRound || !failures.isEmpty { return }
            isLastRound = moved == 0
        }
        failures.append("after \(Self.restRounds) rounds of syncs and decisions something still moves")
    }

    /// Four tiers need five: up, a decision down, what it sets free up again, its verdict, and a quiet one; twins more.
    private static let restRounds = 40

    /// - Parameter everybody: those who seem to have nothing to say are asked too: nothing may move then.
    private func restRound(everybody: Bool) async -> Int {
        var moved = 0
        for site in nodes where everybody || hasNews(site) {
            moved += await sync(site)
            await drain(site.parent!)
        }
        for site in hubs.reversed() {
            moved += decide(at: site, share: 1, undoing: 0)
            moved += mendDrafts(at: site)
            guard let parent = site.parent, everybody || hasNews(site) else { continue }
            moved += await sync(site)
            await drain(parent)
        }
        return moved
    }

    /// Something waits here for the parent, or there for this site; asked of the files, to spare the rounds their idle syncs.
    private func hasNews(_ site: Site) -> Bool {
        guard site.isUp, let tier = site.parent?.hub else { return true }
        do {
            let own = site.isHub
                ? "SELECT EXISTS (SELECT 1 FROM zz_scope WHERE log_end > sealed) OR EXISTS (SELECT 1 FROM zz_held)"
                : "SELECT EXISTS (SELECT 1 FROM zz_mark)"
            let (waits, links) = try site.database.read { db in
                (try Bool.fetchOne(db, sql: own)!, try ScopeLink.all(db).map { try ScopeLink.load(db, $0)! })
            }
            if waits || site.isHub && links.isEmpty { return true }
            return try tier.home.database.read { db in
                try links.contains { link in
                    let end = try Int64.fetchOne(db, sql: "SELECT log_end FROM zz_scope WHERE scope = ?", arguments: [link.scope.key])
                    return link.sealed > link.received || end ?? 0 > link.cursor.rawValue
                }
            }
        } catch {
            return true
        }
    }

    /// Clerks mend what breaks a rule at their hub.
    private func mendDrafts(at hub: Site) -> Int {
        var mended = 0
        do {
            for finding in try hub.hub!.home.findings() where finding.level == "error" {
                guard let form = catalogue[finding.form], let school = Int(finding.school.suffix(6)), let id = Int64(finding.row),
                    let rule = form.rules.first(where: { $0.id == finding.rule }),
                    let field = form.fieldIndex(id: rule.fields[0]),
                    let site = nodes.first(where: { $0.school == school - 1 && $0.parent === hub }),
                    let before = try site.node!.values(form, RowID(id)),
                    // Who did not err waits to be asked.
                    try !isJoint(finding, at: hub),
                    // Whoever mends has the broken value before his eyes: he would else write without having seen it.
                    try shown(RowKey(scope: scopes[school - 1].rawValue, form: form.number, id: id), at: hub.hub!.home)
                        == Dictionary(uniqueKeysWithValues: form.groups.indices.map({ ($0, Entries.word(form, $0, before)) }))
                else { continue }
                let clerk = nextAction(site)
                let value = months(form).contains(field) ? month(field, of: form, in: before) : entries.fresh(form.fields[field], clerk.number) ?? .null
                try site.node!.change(form, RowID(id), [field: value], author: clerk.author)
                record(site, form, RowID(id), before: before, after: try site.node!.values(form, RowID(id)), by: clerk)
                note("\(site.name) mends \(form.fields[field].id) of \(form.table) \(id)")
                mended += 1
            }
        } catch {
            failures.append("\(hub.name): drafts cannot be mended: \(error)")
        }
        return mended
    }
}
