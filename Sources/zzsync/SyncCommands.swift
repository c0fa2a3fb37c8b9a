// join, sync, status, trace, digest, doctor, serve: a node and its hub.

import ArgumentParser
import Foundation
import GRDB
import Node
import Shared

struct Join: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Join a hub with the one-time invite that it issued.")
    @OptionGroup var options: Options
    @Option(help: "The invite file.") var invite: String

    func run() async throws {
        let invite = try Invite.load(from: invite)
        if let hint = invite.expiryHint(nowSeconds: Int64(Date().timeIntervalSince1970)) { Terminal.error("zzsync: \(hint)") }
        let link = try await options.openNode().join(invite, label: ProcessInfo.processInfo.hostName)
        if options.json { return Terminal.json(["hub": link.hubName, "url": link.url]) }
        Terminal.line("Joined \(link.hubName) at \(link.url). `zzsync sync` exchanges the data.")
    }
}

struct Sync: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Exchange the data with the hub.")
    @OptionGroup var options: Options
    @Flag(help: "Say what would be sent; send nothing.") var dryRun = false
    @Flag(help: "Send only.") var pushOnly = false
    @Flag(help: "Fetch only; what was written is sealed, not sent.") var pullOnly = false
    @Option(help: "After sending, wait up to so many seconds for the hub's merge.") var wait = Seconds(2)

    func run() async throws {
        let node = try options.openNode()
        if dryRun {
            let status = try node.status()
            if options.json { return Terminal.json(status) }
            return Terminal.line(
                "Would send \(status.pendingRows) changed rows and \(status.outboxSegments) segments (\(Terminal.bytes(status.outboxBytes))) that wait.")
        }
        let lock = try HomeLock(node.directory, "sync")
        defer { withExtendedLifetime(lock) {} }
        let report = try await node.session().run(push: !pullOnly, pull: !pushOnly, wait: wait.count)
        try report.show(options)
    }
}

extension SyncReport {
    /// Prints the report; a scope that the other side refused makes the exit code 5.
    func show(_ options: Options) throws {
        if options.json {
            Terminal.json(self)
        } else {
            Terminal.line(
                "Sent \(pushedRows) rows in \(pushedSegments) segments, received \(pulledRows) rows in \(pages) pages; "
                    + "\(Terminal.bytes(sentBytes)) up, \(Terminal.bytes(receivedBytes)) down.")
            if let incarnation {
                Terminal.line(
                    "This home was put back from an older copy, or is a copy: it goes on as site \(incarnation). "
                        + "What the hub has of it beyond that was fetched; nothing was lost.")
            }
            Terminal.line("Merged up to \(mergedSeq) of \(sealedSeq)\(quarantined.inQuarantine)\(disputed > 0 ? "; \(disputed) received changes are disputed at the hub" : "").")
        }
        guard unapplied.isEmpty else {
            throw Failure(.refused, "Not synced: \(unapplied.joined(separator: " "))", next: "The other schools are.")
        }
        guard refused.isEmpty else {
            throw Failure(.refusedByPeer, "The hub refused: \(refused.joined(separator: "; ")).", next: "Ask its operator; the data stay here.")
        }
    }
}

extension Int {
    /// So many changes below what is called merged.
    fileprivate var inQuarantine: String {
        self == 0 ? "" : ", but for \(self) that the hub keeps in quarantine: it cannot read them before it works with this version of the catalogue"
    }
}

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Where this node stands.")
    @OptionGroup var options: Options

    func run() throws {
        let status = try options.openNode().status()
        if options.json { return Terminal.json(status) }
        Terminal.line("School     \(status.school.map { "\($0.code) \($0.name)" } ?? "unknown")")
        Terminal.line("Hub        \(status.hub ?? "none joined; everything stays here until then")")
        Terminal.line("To send    \(status.pendingRows) changed rows, \(status.outboxSegments) segments (\(Terminal.bytes(status.outboxBytes)))")
        Terminal.line("Merged     up to change \(status.mergedSeq) of \(status.sealedSeq)\(status.quarantined.inQuarantine)")
        Terminal.line("Last sync  \(Terminal.time(status.lastSync))")
        Terminal.line("Disputed   \(status.openCases) rows; \(status.findings) rows break a rule (`zzsync check`)")
    }
}

struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Where the changes of one row are on their way.")
    @OptionGroup var options: Options
    @Argument var form: String
    @Argument(help: "The natural key's values, or the row's id.") var key: [String]

    func run() throws {
        let node = try options.openNode()
        let form = try node.catalogue.form(named: form)
        let id: RowID
        if let row = try node.get(form: form, key: key) {
            let twins = try node.twins(form: form, of: row)
            guard twins.isEmpty || key == [row.id.description] else {
                throw node.ambiguous(form, [row] + twins, next: "`zzsync trace \(form.id) ID` traces one of them.")
            }
            id = row.id
        } else if key.count == 1, let number = Int64(key[0]) {
            id = RowID(number)      // a deleted row is traced by its id
        } else {
            throw node.noSuchRow(form, key)
        }
        let steps = try node.trace(form: form, row: id)
        if options.json { return Terminal.json(steps) }
        for step in steps { Terminal.line("\(step.step): \(step.detail.onOneLine)") }
    }
}

struct DigestList: Encodable {
    struct Entry: Encodable {
        let digest: String
        let rows: Int
    }
    let forms: [String: Entry]

    init(_ digests: [String: (digest: String, rows: Int)]) {
        forms = digests.mapValues { Entry(digest: $0.digest, rows: $0.rows) }
    }

    func show(_ options: Options) {
        if options.json { return Terminal.json(self) }
        for (form, entry) in forms.sorted(by: { $0.key < $1.key }) {
            Terminal.line("\(entry.digest)  \(form)  \(entry.rows) rows")
        }
    }
}

struct Digest: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The digest of every form: equal at two replicas when they hold the same rows.")
    @OptionGroup var options: Options

    func run() throws { DigestList(try options.openNode().digests()).show(options) }
}

extension Receipt {
    fileprivate var exceptions: String {
        guard let quarantined else { return "" }
        return ", but for \(quarantined.map { "\($0[0])-\($0[1])" }.joined(separator: ", ")), which lie in quarantine there"
    }
}

struct ReceiptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receipt", abstract: "The hub's signed statement of what it holds of this school, to print and keep.")
    @OptionGroup var options: Options

    func run() async throws {
        let node = try options.openNode()
        guard let scope = try node.scope() else { throw try joinFirst(node) }
        let session = try node.session()
        let receipt = try await session.client.receipt(scope)
        if options.json { return Terminal.json(receipt) }
        Terminal.line("\(receipt.hub) holds the changes of site \(receipt.site) up to \(receipt.received), merged up to \(receipt.merged)\(receipt.exceptions)")
        Terminal.line("forwarded above up to its own change \(receipt.forwarded.map(String.init) ?? "-"), at \(Terminal.time(receipt.clock / 1_000))")
        let own = try node.digests()
        for (form, digest) in receipt.digests.sorted(by: { $0.key < $1.key }) {
            let equal = own[form]?.digest == digest
            Terminal.line("\(digest)  \(form)  \(equal ? "equal to this node" : "DIFFERENT here: sync first, then compare again")")
        }
    }

    private func joinFirst(_ node: NodeHome) throws -> Failure {
        do {
            _ = try ParentLink.load(node.directory)
        } catch {
            return error
        }
        return Failure(.damaged, "This node has a hub but no scope.", next: "Join again with a new invite; entered data are kept.")
    }
}

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Check the node's files, tables and triggers; mend what can be mended.")
    @OptionGroup var options: Options

    func run() throws {
        let (node, repairs) = try NodeHome.open(options.directory(), catalogue: options.loadCatalogue())
        let damage: [String]
        do {
            damage = try node.database.read { try String.fetchAll($0, sql: "PRAGMA quick_check") }.filter { $0 != "ok" }
        } catch {
            throw storeFailure(error, path: NodeHome.databasePath(node.directory))      // too damaged to be checked
        }
        if options.json { Terminal.json(["repaired": repairs, "damage": damage]) }
        if !options.json {
            for repair in repairs { Terminal.line("repaired: \(repair)") }
            for line in damage { Terminal.line("damaged: \(line)") }
            if repairs.isEmpty, damage.isEmpty { Terminal.line("Everything is in order.") }
        }
        guard damage.isEmpty else {
            throw Failure(.damaged, "The database is damaged.", next: "Keep the file, and restore the last backup.")
        }
    }
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The node's daemon: sync periodically until stopped.")
    @OptionGroup var options: Options
    @Option(help: "Seconds between two syncs.") var interval = Seconds(900)

    func run() async throws {
        let node = try options.openNode()
        let lock = try HomeLock(node.directory, "serve")
        defer { withExtendedLifetime(lock) {} }
        Terminal.line("serving \(node.directory), sync every \(Int(interval.count)) s")
        await PeriodicSync(interval: interval.count).run { wait throws(Failure) in
            let lock = try HomeLock(node.directory, "sync")
            defer { withExtendedLifetime(lock) {} }
            return try await node.session().run(wait: wait)
        }
    }
}
