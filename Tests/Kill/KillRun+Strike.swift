// How each process is made to die, and what its neighbours may notice.

import Foundation
import Glibc

extension KillRun {
    func strike(_ blow: Blow) async throws {
        let node = nodes.randomElement(using: &random)!
        switch (blow.victim, blow.point) {
        case (.node, "import.stage"), (.node, "import.write"), (.node, "import.commit"):
            try await strikeImport(node, blow.point)
        case (.node, "random"):
            try await write(node)
            try await strikeAtRandom(blow, node.name, Bool.random(using: &random) ? ["sync"] : nil, node)
        case (.node, "push.sent"):
            // Two segments wait: the second is never sent, or sent and not noted.
            try await write(node)
            try await die(node.name, ["sync", "--wait", "5"], at: "seal.commit")
            try await write(node)
            try await die(node.name, ["sync", "--wait", "5"], at: "push.sent:\(Int.random(in: 1...2, using: &random))")
        case (.node, "pull.page"):
            // The page in hand brings what the other node of the school wrote.
            let pair = [nodes[0], nodes[1]].shuffled(using: &random)
            try await write(pair[0])
            try await sync(pair[0])
            try await write(pair[1])
            try await die(pair[1].name, ["sync", "--wait", "5"], at: "pull.page")
        case (.node, let point):
            try await write(node)
            try await die(node.name, ["sync", "--wait", "5"], at: point)
        case (.province, "random"), (.forward, "random"), (.ministry, "random"):
            try await write(node)
            if blow.victim != .province { try await sync(node) }
            let verb = blow.victim == .province ? ["sync"] : ["hub", "forward"]
            try await strikeAtRandom(blow, blow.victim == .province ? node.name : "province", verb, node)
        case (.province, let point):
            try await arm("province", point)
            try await write(node)
            try await outlive("province", point, node.name, ["sync", "--wait", "5"])
        case (.ministry, let point):
            try await write(node)
            try await sync(node)
            try await arm("ministry", point)
            try await outlive("ministry", point, "province", ["hub", "forward", "--wait", "5"])
        case (.forward, let point):
            try await write(node)
            try await sync(node)
            try await die("province", ["hub", "forward", "--wait", "5"], at: point)
        case (.forwarder, let point):
            try await write(node)
            try await sync(node)
            try await arm("province", point, ["--forward-interval", "0.2"])
            try await buried("province", point)
        }
    }

    /// An import is there whole or not at all; what was staged can still be accepted.
    func strikeImport(_ node: Node, _ point: String) async throws {
        guard let portion = takePortion(node) else { throw KillTrouble("too few portions for the plan") }
        let before = try await count(node)
        try await die(node.name, importing(portion, node), at: point)
        let there = try await count(node) - before
        let wanted = point == "import.commit" ? schools[node.school]!.portions[portion].count : 0
        guard there == wanted else { throw KillTrouble("\(there) of \(wanted) imported rows are there after a kill at \(point)") }
        if point == "import.commit" {
            try await expect(3, node.name, importing(portion, node))
        } else {
            let batches = try await ask(node.name, ["review", "list"])["batches"] as? [[String: Any]] ?? []
            guard let batch = batches.last(where: { $0["state"] as? String == "staged" })?["batch"] as? Int else {
                throw KillTrouble("the staged batch is gone after a kill at \(point)")
            }
            try await expect(0, node.name, ["review", "accept", "\(batch)"])
        }
        acknowledge(portion, node)
    }

    /// A command that must die at a point.
    func die(_ home: String, _ words: [String], at point: String) async throws {
        let mark = folder + "/mark"
        try? FileManager.default.removeItem(atPath: mark)
        let ending = try await zzsync(home, words, environment: ["ZZSYNC_KILL_AT": point, "ZZSYNC_KILL_MARK": mark])
        guard ending.wasKilled else { throw KillTrouble("\(home): \(words) did not die at \(point): \(ending.words)") }
        try note(mark, point)
    }

    /// Counts a kill by what the marker says.
    func note(_ mark: String, _ point: String) throws {
        let found = String(decoding: FileManager.default.contents(atPath: mark) ?? Data(), as: UTF8.self)
        guard found == point.split(separator: ":")[0] else { throw KillTrouble("the marker says '\(found)', not \(point)") }
        kills[String(found.split(separator: ".")[0]), default: 0] += 1
        journal.append("killed at \(found)")
    }

    /// Serves again, with a point at which the hub will die.
    func arm(_ hub: String, _ point: String, _ words: [String] = []) async throws {
        servers[hub]!.process.signal(SIGTERM)
        let ending = await servers[hub]!.process.ended()
        guard ending.code == 0 else { throw KillTrouble("\(hub) did not stop at SIGTERM: \(ending.words)") }
        let mark = folder + "/\(hub).mark"
        try? FileManager.default.removeItem(atPath: mark)
        try await serve(hub, words, environment: ["ZZSYNC_KILL_AT": point, "ZZSYNC_KILL_MARK": mark])
    }

    /// A command that meets a hub which dies meanwhile: nothing is lost, exit status 4, or 0 when it was over before.
    func outlive(_ hub: String, _ point: String, _ home: String, _ words: [String]) async throws {
        let ending = try await zzsync(home, words)
        guard ending.code == 4 || ending.code == 0 else { throw KillTrouble("\(home): \(words) with a dying hub: \(ending.words)") }
        try await buried(hub, point)
    }

    /// Waits for the death of an armed hub and starts it again.
    func buried(_ hub: String, _ point: String) async throws {
        let process = servers[hub]!.process
        let watchdog = Task {
            try await Task.sleep(for: .seconds(30))
            process.signal(SIGTERM)
        }
        let ending = await process.ended()
        watchdog.cancel()
        guard ending.wasKilled else { throw KillTrouble("\(hub) did not die at \(point): \(ending.words)") }
        try note(folder + "/\(hub).mark", point)
        try await serve(hub)
    }

    /// Kills a process at a moment that the seed gives, as long as a command is under way; other writers go on meanwhile.
    ///
    /// - Parameter words: the command under way; nil = an import.
    func strikeAtRandom(_ blow: Blow, _ home: String, _ words: [String]?, _ node: Node) async throws {
        for _ in 0..<10 {
            let portion = words == nil ? takePortion(node) : nil
            let command = words ?? portion.map { importing($0, node) } ?? ["sync"]
            let before = portion == nil ? 0 : try await count(node)
            let verb = command.prefix(2).joined(separator: " ")
            let moment = (pace[verb] ?? 0.15) * Double.random(in: 0.05...0.9, using: &random)
            let began = ContinuousClock.now
            let process = try start(home, command)
            let writing = blow.victim == .node && portion == nil ? Task { try await editStudent(node) } : nil
            try? await Task.sleep(for: .seconds(moment))
            let hub = blow.victim == .province ? "province" : blow.victim == .ministry ? "ministry" : nil
            if let hub {
                servers[hub]!.process.signal(SIGKILL)
            } else {
                process.signal(SIGKILL)
            }
            let ending = await process.ended()
            try await writing?.value
            if let hub {
                _ = await servers[hub]!.process.ended()
                try await serve(hub)
            }
            guard hub == nil ? ending.wasKilled || ending.code == 0 : ending.code == 0 || ending.code == 4 else {
                throw KillTrouble("\(home): \(command) around a random kill of \(blow.victim.rawValue): \(ending.words)")
            }
            if let portion {
                let there = try await count(node) - before
                guard [0, schools[node.school]!.portions[portion].count].contains(there) else {
                    throw KillTrouble("\(there) rows of an import are there after a random kill")
                }
                if there == 0 { try await expect(0, node.name, importing(portion, node)) }
                acknowledge(portion, node)
            }
            // A hub was killed in the middle of something if the command noticed.
            if hub == nil ? ending.wasKilled : ending.code == 4 {
                kills["random", default: 0] += 1
                journal.append("killed after \(Int(moment * 1_000)) ms of \(verb)")
                return
            }
            pace[verb] = min(pace[verb] ?? 1, (ContinuousClock.now - began) / .seconds(1))
            try await write(node)
            if home == "province" { try await sync(node) }
        }
        throw KillTrouble("\(blow): the command was always faster")
    }
}
