// Homes put back from copies of their files, and copies that go on beside the original.
//
// What was written or decided after the copy was taken and lay on that disk alone is gone with it: nobody can be asked for it. All
// else must be found again, so the oracle is told exactly what that is (`Held`).

import Foundation
import GRDB
import Hub
import Shared

/// What was known of a home when its copy was taken.
struct HomeBackup {
    let path: String
    /// Turns and writes in the whole country until then.
    let turn: Int
    let writes: Int
    let catalogue: Catalogue
    /// Whoever has a larger number has joined since.
    let sites: Int
}

extension Country {
    private static let day = 86_400_000

    /// Now and then a node's home is copied; now and then the copy is put back, or started beside the original.
    func copyOrPutBackNode() {
        guard let site = dice.pick(nodes.filter { $0.isUp && !$0.fuse.isBlown && $0.parent!.isUp }) else { return }
        attempt(site) {
            guard let backup = backups[site.name] else { return try copy(site) }
            if dice.chance(0.2), !sites.contains(where: \.isClone) {
                try clone(site)
            } else if dice.chance(0.6) {
                site.isCopied = true
                faults.count(.putBack)
                try putBack(site, backup)
            } else {
                try copy(site)
            }
        }
    }

    /// The same with hubs; a part of those that speak with one which was put back then stays away, some for days.
    func copyOrPutBackHub() {
        guard let hub = dice.pick(hubs.filter { $0.isUp && !$0.fuse.isBlown }) else { return }
        attempt(hub) {
            guard let backup = backups[hub.name], dice.chance(0.6) else { return try copy(hub) }
            (hub.isCopied, hub.isPutBack) = (true, true)
            faults.count(.hubPutBack)
            if sites.contains(where: { $0.parent === hub && $0.number > backup.sites && !$0.isClone }) { faults.count(.childForgotten) }
            try readJournal(of: hub.hub!.home, into: &lostJournal)
            memories[hub.name] = nil
            bulks[hub.name] = nil
            try putBack(hub, backup)
            for site in sites where site === hub || site.parent === hub {
                if site !== hub, site.isUp, dice.chance(0.3) { site.fuse.arm(dice.pick(Fault.agreementPoints)!, count: 1) }
                guard dice.chance(0.5) else { continue }
                site.awayUntil = scheduler.now + dice.roll(Self.day / 4...3 * Self.day)
                if site !== hub { faults.count(.cameLate) }
            }
        }
    }

    private func attempt(_ site: Site, _ body: () throws -> Void) {
        do { try body() } catch { failures.append("\(site.name) cannot be copied or put back: \(error)") }
    }

    func copy(_ site: Site) throws {
        let path = "\(folder)/\(site.name).copy"
        try take(site, to: path)
        backups[site.name] = HomeBackup(path: path, turn: scheduler.turns, writes: tallies.writes, catalogue: site.catalogue, sites: sites.count)
        note("\(site.name) is copied")
    }

    /// The keys that the simulator has laid ready are no part of a home: each machine would draw its own.
    private func take(_ site: Site, to path: String) throws {
        let foreseen = (try site.uplinkKeysPath() as NSString).lastPathComponent
        try HomeCopy.take(site.fuse.directory, to: path)
        try? FileManager.default.removeItem(atPath: "\(path)/\(Incarnation.next(foreseen))")
    }

    private func putBack(_ site: Site, _ backup: HomeBackup) throws {
        // With the database alone the anchor, the inbox and the keys stay newer than it; with the whole home everything is old.
        let part: HomeCopy.Part = dice.chance(0.5) ? .home : .database
        site.fuse.blow(at: "put back")
        try HomeCopy.putBack(backup.path, to: site.fuse.heir, part)
        oracle.forget(at: site.name, since: backup.turn, held: try held(after: site))
        note("\(site.name) is put back (\(part.rawValue)), as it was \(tallies.writes - backup.writes) writes ago")
        if backup.catalogue.hash != site.catalogue.hash { takeOver(site, backup, part) }
    }

    /// The copy is of before the home's switch. Whoever puts it back starts the program that the machine has, which switches it again; but
    /// where the whole home was put back, the older program may have come with it (an image of the disk, a `catalogue/` folder in the home).
    private func takeOver(_ site: Site, _ backup: HomeBackup, _ part: HomeCopy.Part) {
        faults.count(site.isHub ? .hubPutBackOlder : .nodePutBackOlder)
        if part == .home, dice.chance(0.3) {
            faults.count(.programPutBack)
            note("\(site.name) goes on with the older catalogue again")
            site.catalogue = backup.catalogue
        } else {
            site.isSwitching = true
        }
    }

    /// A second machine with the same home: both go on, and neither knows of the other.
    private func clone(_ site: Site) throws {
        let twin = addClone(of: site)
        try FileManager.default.createDirectory(atPath: twin.fuse.directory, withIntermediateDirectories: true)
        try take(site, to: twin.fuse.directory)
        (site.isCopied, twin.isCopied) = (true, true)
        faults.count(.cloned)
        note("\(site.name) is cloned as \(twin.name)")
        scheduler.start(after: 1) {
            await self.rise(twin)
            self.beginDays(of: twin)
        }
    }
}
