// The lines between the sites: what was said may come late, twice, in part, out of order or not at all.

import Foundation
import Hub
import Shared

/// One process's line to its parent.
struct Line: Transport {
    let country: Country
    let from: Site
    /// Of the process that speaks: the dead are not heard.
    let fuse: Fuse

    func send(_ request: WireRequest) async throws(Failure) -> WireReply {
        try await country.carry(request, from: from, fuse)
    }
}

private let broken = Failure(.noConnection, "The line broke.", next: "Nothing is lost; sync again.")

extension Country {
    func carry(_ request: WireRequest, from site: Site, _ fuse: Fuse) async throws(Failure) -> WireReply {
        guard !fuse.isBlown else { throw broken }
        show(site)
        if site.isHub { load.hubSeconds[site.name, default: 0] += CPU.seconds() - site.processorMark }
        defer { site.processorMark = CPU.seconds() }
        let parent = site.parent!
        messages += 1
        let message = messages
        await travel(site)
        if happens(\.requestLost, .requestLost, site) { throw broken }
        let sent = cutUpload(request, site)
        if happens(\.doubled, .doubled, site) {
            // Held by some proxy and delivered again; nobody waits for its answer.
            let late = dice.roll(1...6 * 3_600_000)
            scheduler.start(after: late) { _ = try? await self.deliver(sent, to: parent, message: message) }
        }
        var reply = try await deliver(sent, to: parent, message: message)
        await travel(site)
        guard !fuse.isBlown else { throw broken }
        if sent.body.count < request.body.count || happens(\.answerLost, .answerLost, site) { throw broken }
        if !reply.body.isEmpty, happens(\.answerCut, .answerCut, site) {
            reply.body.removeLast(dice.roll(1...reply.body.count))
            site.metCutAnswer = true
        }
        reply.traffic = Traffic(
            bytesSent: request.body.count - request.uploadOffset + request.target.utf8.count + Self.headerBytes,
            bytesReceived: reply.body.count + Self.headerBytes)
        return reply
    }

    /// Signature, content type and the rest of an HTTP/1.1 head, measured at the real server.
    private static let headerBytes = 320

    private func travel(_ site: Site) async {
        let isLate = happens(\.delayed, .delayed, site)
        await scheduler.sleep(dice.roll(isLate ? line.delay : line.latency))
    }

    private func happens(_ share: KeyPath<LineQuality, Double>, _ fault: Fault, _ site: Site) -> Bool {
        if site.isHub, plan.hasGoodHubLines { return false }
        guard line[keyPath: share] > 0, dice.chance(line[keyPath: share]) else { return false }
        faults.count(fault)
        return true
    }

    /// The line breaks in the middle of an upload: the hub has its beginning.
    private func cutUpload(_ request: WireRequest, _ site: Site) -> WireRequest {
        let left = request.body.count - request.uploadOffset
        guard request.method == .put, left > 1, happens(\.uploadCut, .uploadCut, site) else { return request }
        var cut = request
        cut.body = Array(request.body[..<(request.uploadOffset + dice.roll(1...left - 1))])
        return cut
    }

    private func deliver(_ request: WireRequest, to hub: Site, message: Int) async throws(Failure) -> WireReply {
        guard let tier = hub.hub else {
            faults.count(.parentDown)
            throw broken
        }
        if let newest = newestMessage[hub.number], newest > message { faults.count(.reordered) }
        newestMessage[hub.number] = max(newestMessage[hub.number] ?? 0, message)
        let fuse = hub.fuse
        if request.method == .put {
            fuse.uploadGoesOn(at: request.uploadOffset)
            if request.uploadOffset > 0 { faults.count(.uploadResumed) }
        }
        let full = hub.isSpoolFull ? fillSpool(of: tier, for: request) : nil
        let before = CPU.seconds()
        let reply = await tier.endpoint.answer(request)
        load.hubSeconds[hub.name, default: 0] += CPU.seconds() - before
        if let full {
            if reply.status != 200 { faults.count(.spoolFull) }
            try? FileManager.default.removeItem(atPath: full)
        }
        guard !fuse.isBlown else { throw broken }
        if request.method == .put, reply.status == 200 { drain(hub, after: dice.roll(1_000...plan.mergeDelay)) }
        return reply
    }

    /// The file that the upload would grow in leads to a device without room: every byte is refused with ENOSPC.
    private func fillSpool(of tier: Site.Tier, for request: WireRequest) -> String? {
        guard request.method == .put, request.uploadOffset == 0 else { return nil }
        let parts = request.target.split(separator: "?")[0].split(separator: "/").map(String.init)
        let range = (parts.last ?? "").split(separator: "-").compactMap { Int64($0) }
        guard parts.count == 5, range.count == 2, let scope = ScopeID(parts[2]), let site = SiteID(parts[3]) else { return nil }
        let path = tier.home.inbox.partPath(scope, site, Seq(range[0]), Seq(range[1]), SegmentCodec.mark(request.body))
        guard !FileManager.default.fileExists(atPath: path) else { return nil }
        try? FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
        return path
    }
}
