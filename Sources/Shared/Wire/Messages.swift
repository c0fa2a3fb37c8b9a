// What child and parent say to each other beside segments: small JSON documents under /v1.
//
// JSON, because there is one of each per sync, people read them in captures, and unknown keys are ignored by older
// programs. Everything that is large travels as segments. Ids are hexadecimal strings, seqs and positions are integers.

import Foundation

/// Describes a school as the parent should show it; travels in hello, for code, name and type can change.
package struct SchoolInfo: Codable, Hashable, Sendable {
    package var code: String
    package var name: String
    /// One of the four codes of the code set `school_type`.
    package var type: String
    /// GB/T 2260, six digits; nil when nobody said.
    package var region: String?
    package init(code: String, name: String, type: String, region: String?) {
        self.code = code
        self.name = name
        self.type = type
        self.region = region
    }
}

/// `POST /v1/enrol`: the one use of an invite. Signed with the new site's key like every request.
package struct EnrolRequest: Codable, Sendable {
    /// The secret of the invite file.
    package var token: String
    /// Ed25519 and X25519 public keys of the new site, base64.
    package var signingKey: String
    package var agreementKey: String
    /// What the hub's operator shall read in its list: host name of the node, or code and name of the child hub.
    package var label: String
    package init(token: String, signingKey: String, agreementKey: String, label: String) {
        self.token = token
        self.signingKey = signingKey
        self.agreementKey = agreementKey
        self.label = label
    }
}

package struct EnrolReply: Codable, Sendable {
    /// The hub's site and its public keys, base64; must equal those in the invite.
    package var hubSite: String
    package var hubSigningKey: String
    package var hubAgreementKey: String
    package var hubName: String
    package var epoch: Int
    /// The school's scope; nil when a hub enrolled.
    package var scope: String?
    /// For the day on which the hub has forgotten this; an older hub gives none.
    package var enrolment: SignedEnrolment?
    package init(
        hubSite: String, hubSigningKey: String, hubAgreementKey: String, hubName: String, epoch: Int, scope: String?,
        enrolment: SignedEnrolment? = nil
    ) {
        self.hubSite = hubSite
        self.hubSigningKey = hubSigningKey
        self.hubAgreementKey = hubAgreementKey
        self.hubName = hubName
        self.epoch = epoch
        self.scope = scope
        self.enrolment = enrolment
    }
}

/// `POST /v1/hello`: where both sides stand. Nothing to do = this call alone.
package struct HelloRequest: Codable, Sendable {
    package var scopes: [ScopeHello]
    /// Milliseconds since 1970 by the child's clock.
    package var clock: Int64
    /// Hash of the catalogue the child works with.
    package var catalogue: String
    package init(scopes: [ScopeHello], clock: Int64, catalogue: String) {
        self.scopes = scopes
        self.clock = clock
        self.catalogue = catalogue
    }
}

package struct ScopeHello: Codable, Sendable {
    package var scope: String
    /// The last seq that left this machine, and the chain hash at it (base64; empty when none left yet).
    package var lastSeq: Int64
    package var chain: String
    package var cursor: Int64
    /// Bytes that wait in the outbox.
    package var backlog: Int
    /// Sent when the parent does not know the school yet or its description changed.
    package var school: SchoolInfo?
    /// What the child knows of the parent's past, by which a parent that was put back learns it: its epoch, where its log ended
    /// when it made the child's newest page, and up to which seq it has acknowledged the child's changes.
    package var epoch: Int?
    package var made: PageMark?
    package var received: Int64?
    /// Points that the parent had heard of this child's chain, and that are in it.
    package var vouched: [ChainPoint]?
    package init(scope: String, lastSeq: Int64, chain: String, cursor: Int64, backlog: Int, school: SchoolInfo?) {
        self.scope = scope
        self.lastSeq = lastSeq
        self.chain = chain
        self.cursor = cursor
        self.backlog = backlog
        self.school = school
    }
}

package struct HelloReply: Codable, Sendable {
    package var scopes: [ScopeStanding]
    package var clock: Int64
    package var epoch: Int
    /// Hash of the catalogue the hub works with; nil when it is the child's.
    package var catalogue: String?
    /// Where it is another: the digest of the hub's predictors. With equal ones both may predict.
    package var decoding: String?
    package init(scopes: [ScopeStanding], clock: Int64, epoch: Int, catalogue: String?, decoding: String? = nil) {
        self.scopes = scopes
        self.clock = clock
        self.epoch = epoch
        self.catalogue = catalogue
        self.decoding = decoding
    }
}

package struct ScopeStanding: Codable, Sendable {
    package var scope: String
    /// Up to which seq of this child's segments the hub holds (checked, stored, fsynced), and the chain hash there; nil when
    /// both are what the child named.
    package var received: Int64
    package var chain: String?
    /// Up to which seq they are merged.
    package var merged: Int64
    /// The end of the hub's log of this scope.
    package var logEnd: Int64
    /// An upload that broke off: the segment after `received` up to this seq, and how many of its bytes are here.
    package var partLast: Int64?
    package var partOffset: Int?
    /// What a log that the hub has lost had merged of this child beyond `received`. A child that does not have it has lost it, and
    /// must go on as a new site; one that has it says so.
    package var heard: [ChainPoint]?
    /// The hub has not heard of this scope: send `school`.
    package var unknown: Bool?
    /// Why the hub will not take this scope from this child; nil when it will.
    package var refused: String?
    /// The hub's epoch, as the whole reply says it.
    package var epoch: Int?
    package init(
        scope: String, received: Int64, chain: String? = nil, merged: Int64, logEnd: Int64, unknown: Bool? = nil,
        refused: String? = nil
    ) {
        self.scope = scope
        self.received = received
        self.chain = chain
        self.merged = merged
        self.logEnd = logEnd
        self.unknown = unknown
        self.refused = refused
    }
}

/// Where a hub's log ended when it made a page, and the mark of that transaction (base64): numbers come again after a restore,
/// marks do not.
package struct PageMark: Codable, Hashable, Sendable {
    package var position: Int64
    package var mark: String
    package init(position: Int64, mark: String) {
        self.position = position
        self.mark = mark
    }
}

/// `POST /v1/survivors`: which of a child's pages were made from a log that the hub still has.
package struct SurvivorsRequest: Codable, Sendable {
    package var scope: String
    /// Newest first.
    package var pages: [PageMark]
    package init(scope: String, pages: [PageMark]) {
        self.scope = scope
        self.pages = pages
    }
}

package struct SurvivorsReply: Codable, Sendable {
    /// Index of the newest that survives; nil when none of them does.
    package var newest: Int?
    package init(newest: Int?) { self.newest = newest }
}

/// `POST /v1/agreed`: all that a child held beyond what survived is handed back. What it sealed up to `sealed` had seen no more
/// than `base`.
package struct AgreedRequest: Codable, Sendable {
    package var scope: String
    package var epoch: Int
    package var base: Int64
    package var sealed: Int64
    package init(scope: String, epoch: Int, base: Int64, sealed: Int64) {
        self.scope = scope
        self.epoch = epoch
        self.base = base
        self.sealed = sealed
    }
}

/// Where the child stands after that.
package struct AgreedReply: Codable, Sendable {
    package var received: Int64
    package var merged: Int64
    /// First and last seq of what lay in quarantine as of the base; nil where nothing did.
    package var quarantined: [[Int64]]?
    package init(received: Int64, merged: Int64, quarantined: [ClosedRange<Seq>] = []) {
        self.received = received
        self.merged = merged
        self.quarantined = quarantined.isEmpty ? nil : quarantined.map { [$0.lowerBound.rawValue, $0.upperBound.rawValue] }
    }

    package var quarantinedRanges: [ClosedRange<Seq>] {
        MergedSeqs.joined((quarantined ?? []).compactMap { $0.count == 2 && $0[0] > 0 && $0[0] <= $0[1] ? Seq($0[0])...Seq($0[1]) : nil })
    }
}

/// `POST /v1/incarnation`: a child that was put back from a copy, or is one, names the keys that it goes on with. Signed with
/// the old ones like every request; a repeat with the same keys is answered the same.
package struct IncarnationRequest: Codable, Sendable {
    package struct Scope: Codable, Sendable {
        package var scope: String
        /// Where the newest segments sealed by the predecessor end, newest first.
        package var heads: [ChainPoint]
        package init(scope: String, heads: [ChainPoint]) {
            self.scope = scope
            self.heads = heads
        }
    }
    /// The site whose changes the child's database holds.
    package var predecessor: String
    package var signingKey: String
    package var agreementKey: String
    /// The new key's signature over `provenBytes`, base64: nobody can be made to go on as somebody else.
    package var proof: String
    package var scopes: [Scope]

    package init(predecessor: SiteID, keys: SiteKeys, scopes: [Scope]) {
        self.predecessor = predecessor.description
        signingKey = keys.publicKeys.signingBase64
        agreementKey = keys.publicKeys.agreementBase64
        self.scopes = scopes
        proof = Data(keys.sign(Self.provenBytes(predecessor: predecessor.description))).base64EncodedString()
    }

    package static func provenBytes(predecessor: String) -> [UInt8] { [UInt8]("ZZ1 incarnation of \(predecessor)".utf8) }
}

/// The end of a segment: its last seq and the chain hash there, base64; of `heard` and `vouched` its first eight bytes, hexadecimal.
package struct ChainPoint: Codable, Hashable, Sendable {
    package var seq: Int64
    package var chain: String
    package init(seq: Int64, chain: String) {
        self.seq = seq
        self.chain = chain
    }
}

extension ChainMark {
    package var point: ChainPoint { ChainPoint(seq: seq.rawValue, chain: hex16(chain)) }
    package init?(_ point: ChainPoint) {
        guard let chain = parseHex16(point.chain) else { return nil }
        self.init(seq: Seq(point.seq), chain: chain)
    }
}

/// The newest point of each scope that the hub holds too: what the new site counts as its own, and continues.
package struct IncarnationReply: Codable, Sendable {
    package struct Scope: Codable, Sendable {
        package var scope: String
        package var seq: Int64
        package var chain: String
        package init(scope: String, seq: Int64, chain: String) {
            self.scope = scope
            self.seq = seq
            self.chain = chain
        }
    }
    package var scopes: [Scope]
    package init(scopes: [Scope]) { self.scopes = scopes }
}

/// Answer to `PUT /v1/segments/{scope}/{site}/{first}-{last}?mark=H&offset=N&size=M`.
package struct UploadReply: Codable, Sendable {
    /// Bytes of this segment the hub holds; equal to its size when it is complete.
    package var offset: Int
    /// Checked, stored, fsynced.
    package var received: Bool
    package init(offset: Int, received: Bool) {
        self.offset = offset
        self.received = received
    }
}

/// Body of every answer that is not 2xx: a code for programs, a sentence for people.
package struct ErrorReply: Codable, Sendable {
    package var code: WireCode
    package var message: String
    package init(code: WireCode, message: String) {
        self.code = code
        self.message = message
    }
}

/// The codes of `ErrorReply`; the status and whether a retry is safe are functions of the code, written once.
package enum WireCode: String, Codable, Sendable {
    /// The request or its signature cannot be read.
    case malformed
    /// A revoked site, a wrong signature.
    case unauthenticated
    /// A site that this hub does not know: it may know one before it, or have forgotten it.
    case notEnrolled
    /// A known site asks for what is not its own.
    case forbidden
    /// The invite is unknown, used or expired.
    case invite
    case notFound
    /// The segment does not follow the last one received; hello tells where to continue.
    case outOfChain
    /// An upload continues at another offset than the one asked for; the answer carries it in `Upload-Offset`.
    case wrongOffset
    /// The segment failed its checks and was not stored.
    case badSegment
    case tooLarge
    /// Come back after `Retry-After` seconds.
    case busy
    case internalError

    package var httpStatus: Int {
        switch self {
        case .malformed, .badSegment: 400
        case .unauthenticated, .notEnrolled: 401
        case .forbidden, .invite: 403
        case .notFound: 404
        case .outOfChain, .wrongOffset: 409
        case .tooLarge: 413
        case .busy: 503
        case .internalError: 500
        }
    }

    /// The input of the retry loop: the same request may succeed later.
    package var isRetryable: Bool {
        switch self {
        case .busy, .internalError, .outOfChain, .wrongOffset: true
        default: false
        }
    }
}

package enum WirePath {
    package static let hello = "/v1/hello"
    package static let enrol = "/v1/enrol"
    /// Shows a `SignedEnrolment`: signed, like every request, with the key that stands in it.
    package static let enrolledAgain = "/v1/enrolled-again"
    package static let incarnation = "/v1/incarnation"
    /// - Parameter bytes: the whole segment; its mark keeps two apart that two copies of one home have numbered alike.
    package static func segment(_ scope: ScopeID, _ site: SiteID, _ first: Seq, _ last: Seq, _ bytes: [UInt8]) -> String {
        "/v1/segments/\(scope)/\(site)/\(first)-\(last)?mark=\(SegmentCodec.mark(bytes))"
    }
    package static let survivors = "/v1/survivors"
    package static let agreed = "/v1/agreed"
    /// A page of this hub's own log, handed back by a child: `survived` is the newest position that both are sure of.
    package static func returned(_ scope: ScopeID, survived: Position) -> String { "/v1/returned/\(scope)?survived=\(survived.rawValue)" }
    package static func log(_ scope: ScopeID) -> String { "/v1/log/\(scope)" }
    package static func receipt(_ scope: ScopeID) -> String { "/v1/receipt/\(scope)" }
}
