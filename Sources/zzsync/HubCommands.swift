// hub init, serve, invite, join, schools, status, findings, quarantine, digest, forward.

import ArgumentParser
import Foundation
import Hub
import Logging
import Shared

struct HubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hub", abstract: "A hub: collects from schools and hubs below, decides cases, forwards upward.",
        subcommands: [
            HubInit.self, HubServe.self, HubInvite.self, HubJoin.self, HubSchools.self, HubSites.self, HubStatusCommand.self,
            HubFindings.self, HubQuarantine.self, HubConflicts.self, HubPut.self, HubImport.self,
            HubCompare.self, HubPolicies.self, HubRequests.self, HubForward.self, HubDigest.self,
        ])
}

extension Options {
    func openHub() throws(Failure) -> HubHome {
        try HubHome.open(directory(), catalogue: loadCatalogue())
    }
}

struct HubInit: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "init", abstract: "Make a hub.")
    @OptionGroup var options: Options
    @Option(help: "province, city, county or ministry.") var level: String
    @Option(help: "Its code, e.g. 41.") var code: String
    @Option(help: "Its name.") var name: String
    @Option(help: "Folder of policy files to begin with; default: the installed ones.") var policies: String?

    func run() throws {
        let catalogue = try options.loadCatalogue()
        let files = try PolicyFolder.fill(options.directory(), from: policies, catalogue: catalogue)
        let hub = try HubHome.create(
            options.directory(), catalogue: catalogue,
            identity: HubIdentity(level: level, code: code, name: name))
        if options.json { return Terminal.json(["home": hub.directory, "site": hub.keys.site.description]) }
        Terminal.line("Hub \(name) (\(level) \(code)) made in \(hub.directory)\(files > 0 ? ", with \(files) policy files" : "").")
    }
}

struct HubServe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve", abstract: "Serve the children until stopped.")
    @OptionGroup var options: Options
    @Option(help: "HOST:PORT; port 0 takes a free one.") var listen: String
    @Option(help: "PEM certificate chain: serve TLS.") var tlsCert: String?
    @Option(help: "PEM key of the certificate.") var tlsKey: String?
    @Flag(help: "Allow plain HTTP beyond this machine.") var insecureHttp = false
    @Option(help: "Forward to the parent every so many seconds; 0 = only on command.") var forwardInterval = Seconds(0)

    func run() async throws {
        let hub = try options.openHub()
        let lock = try HomeLock(hub.directory, "serve")
        defer { withExtendedLifetime(lock) {} }
        let (host, port) = try address()
        let isTLS = tlsCert != nil
        if let warning = hub.policyBook.warning { Terminal.error("zzsync: \(warning)") }
        let worker = MergeWorker(hub)
        let server = HubServer(
            HubService(hub, worker: worker),
            options: .init(host: host, port: port, certificateFile: tlsCert, keyFile: tlsKey))
        let forwardInterval = forwardInterval.count
        var logger = Logger(label: "zzsync") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        do {
            try await server.run(
                logger: logger,
                onListening: { port in
                    let url = "\(isTLS ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
                    try? DurableFile.write(Array((url + "\n").utf8), to: hub.directory + "/listening", mode: 0o644)
                    Terminal.line("listening on \(url)")
                },
                background: [
                    { await worker.run { Terminal.error("merge: \($0)") } },
                    {
                        guard forwardInterval > 0 else { return await sleepUntilCancelled() }
                        await PeriodicSync(interval: forwardInterval).run { wait throws(Failure) in
                            let lock = try HomeLock(hub.directory, "forward")
                            defer { withExtendedLifetime(lock) {} }
                            return try await hub.session().run(wait: wait)
                        }
                    },
                ])
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                .busy, "The hub cannot listen on \(listen): \(error).", next: "Choose another port, or stop what uses it.")
        }
    }

    private func address() throws(Failure) -> (String, Int) {
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]), 0...65_535 ~= port else {
            throw Failure(.usage, "'\(listen)' is no address to listen on.", next: "Use HOST:PORT, for example 127.0.0.1:8640.")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw Failure(.usage, "--tls-cert and --tls-key belong together.", next: "Name both PEM files.")
        }
        let host = String(listen[..<colon]).trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        let isLoopback = try HubAddress("http://\(host.contains(":") ? "[\(host)]" : host)").isLoopback
        guard tlsCert != nil || isLoopback || insecureHttp else {
            throw Failure(
                .refused, "Plain HTTP on \(host) would let everybody on the way read the schools' data.",
                next: "Give --tls-cert and --tls-key, or say --insecure-http.")
        }
        return (host, port)
    }
}

private func sleepUntilCancelled() async {
    while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) }
}

struct HubInvite: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite", abstract: "Write the one-time invite of a school, or of a hub below (--hub).")
    @OptionGroup var options: Options
    @Option(help: "The school's 10-digit code.") var school: String?
    @Option(help: "The school's type.") var type = "vocational_continuing"
    @Option(help: "Name of the school or hub.") var name: String
    @Option(help: "Region, six digits (GB/T 2260).") var region: String?
    @Option(help: "The scope that a home of the school names, should this hub have forgotten it (16 digits).") var scope: String?
    @Option(help: "Code of a hub below.") var hub: String?
    @Option(help: "Level of the hub below.") var level = "province"
    @Option(help: "Address that the invite names; default: where this hub listens now.") var url: String?
    @Option(help: "PEM certificate to pin.") var tlsCert: String?
    @Flag(help: "The invite allows plain HTTP beyond one machine.") var insecureHttp = false
    @Option(help: "Days until it expires.") var days: Int = Invitations.validDays
    @OptionGroup var file: OutputOptions

    func run() throws {
        let home = try options.openHub()
        let output = try file.path()
        let address = try HubAddress(try url ?? listening(home))
        try address.checkEncryption(allowInsecureHTTP: insecureHttp)
        let pin = try tlsCert.map { try CertificatePin.of(file: $0) }
        let invitations = Invitations(home)
        let invite: Invite
        switch (school, hub) {
        case (let school?, nil):
            let wanted = try scope.map { text throws(Failure) in
                if let scope = ScopeID(text) { return scope }
                throw Failure(.usage, "'\(text)' is no scope.", next: "A scope has 16 hexadecimal digits: `zzsync status --json` at the school shows it.")
            }
            invite = try invitations.school(
                SchoolInfo(code: school, name: name, type: type, region: region), scope: wanted, address: address, pin: pin,
                insecure: insecureHttp, days: days)
        case (nil, let hub?):
            invite = try invitations.hub(
                Invite.ChildHub(code: hub, level: level, name: name), address: address, pin: pin, insecure: insecureHttp, days: days)
        default:
            throw Failure(.usage, "An invite is for a school or for a hub.", next: "Give --school CODE or --hub CODE.")
        }
        try invite.save(to: output)
        if options.json { return Terminal.json(["file": output, "expires": "\(invite.expires)"]) }
        Terminal.line("Invite for \(name) written to \(output): it works once, until \(Terminal.time(invite.expires)).")
    }

    private func listening(_ home: HubHome) throws(Failure) -> String {
        guard case .success(let bytes?) = DurableFile.read(home.directory + "/listening", bytesMax: 4_096) else {
            throw Failure(.usage, "This hub has never listened anywhere.", next: "Start `zzsync hub serve`, or give --url.")
        }
        let url = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        // Every address of this machine is no address to call.
        guard !["0.0.0.0", "::"].contains(try HubAddress(url).host) else {
            throw Failure(
                .usage, "This hub listens on all addresses of its machine (\(url)).",
                next: "Say with --url under which address the schools reach it.")
        }
        return url
    }
}

struct HubJoin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "join", abstract: "Join a parent hub with its invite.")
    @OptionGroup var options: Options
    @Option(help: "The invite file.") var invite: String

    func run() async throws {
        let link = try await options.openHub().join(try Invite.load(from: invite))
        if options.json { return Terminal.json(["hub": link.hubName, "url": link.url]) }
        Terminal.line("Joined \(link.hubName) at \(link.url). `zzsync hub forward` exchanges the data.")
    }
}

struct HubSchools: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "schools", abstract: "List the schools.")
    @OptionGroup var options: Options

    func run() throws {
        let schools = try options.openHub().schools()
        if options.json { return Terminal.json(["schools": schools]) }
        for school in schools {
            Terminal.line(
                "\(school.code)\t\(school.name)\t\(school.rows) rows\t\(school.openCases) cases\t\(school.findings) findings\tlast seen \(Terminal.time(school.lastSeen))")
        }
        if schools.isEmpty { Terminal.line("No schools yet: `zzsync hub invite` invites one.") }
    }
}

struct HubSites: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sites", abstract: "List who is enrolled, and who came back after this hub was put back from a backup of before.")
    @OptionGroup var options: Options

    func run() throws {
        let sites = try options.openHub().sites()
        if options.json { return Terminal.json(["sites": sites]) }
        for site in sites {
            let place = site.school.map { "school \($0) scope \(site.scope!)" } ?? "hub"
            var line = "\(site.site)\t\(place)\t\(site.label)\tenrolled \(Terminal.time(site.enrolledAt))\tlast seen \(Terminal.time(site.lastSeen))"
            if let revoked = site.revokedAt { line += "\trevoked \(Terminal.time(revoked))" }
            if let returned = site.returnedAt {
                line += "\tenrolled again by its own statement \(Terminal.time(returned))\(site.remark.map { ": \($0)" } ?? "")"
            }
            Terminal.line(line)
        }
        Terminal.line("\(sites.count) sites.")
    }
}

struct HubStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Where this hub stands.")
    @OptionGroup var options: Options

    func run() throws {
        let status = try options.openHub().status()
        if options.json { return Terminal.json(status) }
        Terminal.line("Hub        \(status.hub.code) \(status.hub.name) (\(status.hub.level)), epoch \(status.epoch)")
        Terminal.line("Parent     \(status.parent ?? "none")")
        let returned = status.returnedSites > 0 ? ", \(status.returnedSites) of them enrolled again by their own statements (`zzsync hub sites`)" : ""
        Terminal.line("Schools    \(status.schools), \(status.sites) sites\(returned)")
        Terminal.line("Segments   \(status.waiting) wait for the merge, \(status.quarantined) in quarantine")
        Terminal.line("Open       \(status.openCases) cases, \(status.findings) findings")
        let cells = status.cells
        Terminal.line(
            "Cells      \(cells["sent"]!) sent = \(cells["merged"]!) merged + \(cells["equal"]!) equal + \(cells["disputed"]!) disputed + \(cells["overtaken"]!) overtaken")
    }
}

struct HubFindings: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "findings", abstract: "Rows that break a rule.")
    @OptionGroup var options: Options
    @Option(help: "Only of this school.") var school: String?

    func run() throws {
        let findings = try options.openHub().findings(school: school)
        if options.json { return Terminal.json(["findings": findings]) }
        for finding in findings {
            Terminal.line("\(finding.school)\t\(finding.form) \(finding.row)\t\(finding.level)\t\(finding.message)（\(finding.fix)）")
        }
        Terminal.line("\(findings.count) findings.")
    }
}

struct HubQuarantine: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine", abstract: "Segments that this hub cannot understand yet.",
        subcommands: [HubQuarantineList.self, HubQuarantineRelease.self])
}

struct HubQuarantineList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List them.")
    @OptionGroup var options: Options

    func run() throws {
        let segments = try options.openHub().inbox.quarantined()
        if options.json { return Terminal.json(["quarantined": segments]) }
        for segment in segments {
            Terminal.line("\(segment.number)\tscope \(segment.scope) site \(segment.site) \(segment.first)-\(segment.last)\t\(segment.reason)")
        }
        Terminal.line("\(segments.count) segments in quarantine.")
    }
}

struct HubQuarantineRelease: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "release", abstract: "Try one again.")
    @OptionGroup var options: Options
    @Argument var number: Int64

    func run() async throws {
        let home = try options.openHub()
        guard try home.inbox.release(number) else {
            throw Failure(.usage, "There is no quarantined segment \(number).", next: "`zzsync hub quarantine list` shows them.")
        }
        try await MergeWorker(home).drain()
        let left = try home.inbox.quarantined().first { $0.number == number }
        if options.json { return Terminal.json(["released": left == nil]) }
        Terminal.line(left.map { "Segment \(number) is still unreadable: \($0.reason)" } ?? "Segment \(number) was merged.")
    }
}

struct HubForward: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "forward", abstract: "Exchange the data with the parent hub.")
    @OptionGroup var options: Options
    @Option(help: "After sending, wait up to so many seconds for the parent's merge.") var wait = Seconds(2)

    func run() async throws {
        let hub = try options.openHub()
        let lock = try HomeLock(hub.directory, "forward")
        defer { withExtendedLifetime(lock) {} }
        try await hub.session().run(wait: wait.count).show(options)
    }
}

struct HubDigest: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "digest", abstract: "The digest of every form of a school.")
    @OptionGroup var options: Options
    @Option(help: "The school's code.") var school: String

    func run() throws { DigestList(try options.openHub().digests(school: school)).show(options) }
}
