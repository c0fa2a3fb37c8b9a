import CWorkbook
import Glibc

/// What a part's reader does at each element. Names come without namespace or prefix: `x:row` and `row` are `row`.
protocol XMLHandler: AnyObject {
    func start(_ name: String, _ attributes: XMLAttributes) throws(WorkbookProblem)
    func end(_ name: String) throws(WorkbookProblem)
    /// UTF-8; one text may come in several pieces.
    func text(_ piece: UnsafeBufferPointer<UInt8>) throws(WorkbookProblem)
}

/// What a handler found wrong; the feed adds the place.
enum WorkbookProblem: Error {
    case damaged(String)
    case tooLarge(String)
    case doctype

    func at(_ place: WorkbookPlace) -> WorkbookError {
        switch self {
        case .damaged(let reason): .damaged(place, reason: reason)
        case .tooLarge(let what): .tooLarge(place, what: what)
        case .doctype: .doctype(place)
        }
    }
}

/// The attributes of one element; valid only within `start`.
struct XMLAttributes {
    fileprivate let pairs: UnsafeMutablePointer<UnsafePointer<CChar>?>

    /// By local name. `namespaced: true` asks for one with a prefix (`r:id`), else for one without (`id`).
    subscript(_ name: StaticString, namespaced namespaced: Bool = false) -> String? {
        var pair = pairs
        while let key = pair[0], let value = pair[1] {
            let separator = strrchr(key, XMLFeed.separator)
            if (separator != nil) == namespaced {
                let local = separator.map { UnsafePointer($0 + 1) } ?? key
                if strcmp(local, UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)) == 0 {
                    return String(cString: value)
                }
            }
            pair += 2
        }
        return nil
    }

    func flag(_ name: StaticString) -> Bool { ["1", "true"].contains(self[name]) }
}

/// Pushes one part, piece by piece, through expat into a handler.
final class XMLFeed {
    /// Between namespace and name in what expat reports; `|` cannot stand in either.
    fileprivate static let separator: Int32 = 124
    private static let pieceBytes: Int32 = 64 << 10

    private let stream: PartStream
    private let handler: any XMLHandler
    private let parser: OpaquePointer
    private var failure: WorkbookError?
    private var fedBytes = 0
    private var atEnd = false

    init(_ stream: PartStream, _ handler: any XMLHandler) {
        guard let parser = XML_ParserCreateNS(nil, XML_Char(Self.separator)) else { fatalError("out of memory") }
        self.stream = stream
        self.handler = handler
        self.parser = parser
        XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        XML_SetElementHandler(
            parser,
            { feed, name, pairs in
                guard let name, let pairs else { return }
                XMLFeed.of(feed).call { (handler) throws(WorkbookProblem) in
                    try handler.start(XMLFeed.local(name), XMLAttributes(pairs: pairs))
                }
            },
            { feed, name in
                guard let name else { return }
                XMLFeed.of(feed).call { (handler) throws(WorkbookProblem) in try handler.end(XMLFeed.local(name)) }
            })
        XML_SetCharacterDataHandler(parser) { feed, bytes, count in
            guard let bytes else { return }
            let piece = UnsafeRawBufferPointer(start: bytes, count: Int(count)).assumingMemoryBound(to: UInt8.self)
            XMLFeed.of(feed).call { (handler) throws(WorkbookProblem) in try handler.text(piece) }
        }
        // Entities that are made of entities, or that name files, come only with a DOCTYPE.
        XML_SetStartDoctypeDeclHandler(parser) { feed, _, _, _, _ in
            XMLFeed.of(feed).call { (_) throws(WorkbookProblem) in throw .doctype }
        }
    }

    deinit { XML_ParserFree(parser) }

    static func readAll(_ stream: PartStream, _ handler: any XMLHandler) throws(WorkbookError) {
        let feed = XMLFeed(stream, handler)
        while try feed.advance() {}
    }

    /// Reads the next piece. After an error every call throws it again.
    /// - Returns: `false` once the part has been read to its end.
    func advance() throws(WorkbookError) -> Bool {
        if let failure { throw failure }
        if atEnd { return false }
        do throws(WorkbookError) {
            guard let buffer = XML_GetBuffer(parser, Self.pieceBytes) else {
                throw .damaged(stream.place, reason: "expat has no memory for it")
            }
            let got = try stream.read(into: buffer, count: Int(Self.pieceBytes))
            atEnd = got == 0
            fedBytes += got
            let status = XML_ParseBuffer(parser, Int32(got), atEnd ? 1 : 0)
            if let failure { throw failure }
            guard status == XML_STATUS_OK else {
                throw .damaged(placeNow, reason: String(cString: XML_ErrorString(XML_GetErrorCode(parser))))
            }
            // The index of the last thing that was read whole or begun.
            if fedBytes - max(0, XML_GetCurrentByteIndex(parser)) > stream.limits.tagBytesMax {
                throw .tooLarge(
                    placeNow, what: "a tag of more than \(stream.limits.tagBytesMax) bytes, which is the limit")
            }
        } catch {
            failure = error
            throw error
        }
        return !atEnd
    }

    private var placeNow: WorkbookPlace {
        var place = stream.place
        place.line = Int(XML_GetCurrentLineNumber(parser))
        place.column = Int(XML_GetCurrentColumnNumber(parser)) + 1
        return place
    }

    /// C code cannot throw: the first error is kept and the parser stopped. It may still call back once after that.
    private func call(_ body: (any XMLHandler) throws(WorkbookProblem) -> Void) {
        guard failure == nil else { return }
        do throws(WorkbookProblem) { try body(handler) } catch {
            failure = error.at(placeNow)
            XML_StopParser(parser, 0)
        }
    }

    private static func of(_ feed: UnsafeMutableRawPointer?) -> XMLFeed {
        Unmanaged<XMLFeed>.fromOpaque(feed!).takeUnretainedValue()
    }

    private static func local(_ name: UnsafePointer<CChar>) -> String {
        String(cString: strrchr(name, separator).map { UnsafePointer($0 + 1) } ?? name)
    }
}
