import ArgumentParser
import Foundation
import Glibc
import Node
import Shared
import Synchronization

/// Options of every verb.
struct Options: ParsableArguments {
    @Option(help: "Folder of the node or hub (or ZZSYNC_HOME).")
    var home: String?

    @Option(name: .customLong("as"), help: "Author of what is written (or ZZSYNC_USER; else the login name).")
    var author: String?

    @Flag(help: "One JSON document on standard output, nothing else.")
    var json = false

    @Option(help: "Folder of a catalogue to use instead of the built-in one (or ZZSYNC_CATALOGUE).")
    var catalogue: String?

    private var environment: [String: String] { ProcessInfo.processInfo.environment }

    func directory() throws(Failure) -> String {
        guard let home = home ?? environment["ZZSYNC_HOME"], !home.isEmpty else {
            throw Failure(.usage, "No home folder is named.", next: "Add --home DIR, or set ZZSYNC_HOME.")
        }
        return home
    }

    var user: String {
        if let name = author ?? environment["ZZSYNC_USER"], !name.isEmpty { return name }
        return NSUserName().isEmpty ? "unknown" : NSUserName()
    }

    /// Named folder, else the home's own, else what the binary holds.
    func loadCatalogue() throws(Failure) -> Catalogue {
        if let folder = catalogue ?? environment["ZZSYNC_CATALOGUE"] { return try CatalogueLoader.load(directory: folder) }
        if let home = home ?? environment["ZZSYNC_HOME"], FileManager.default.fileExists(atPath: home + "/catalogue/forms") {
            return try CatalogueLoader.load(directory: home + "/catalogue")
        }
        return try CatalogueLoader.embedded()
    }

    func openNode() throws(Failure) -> NodeHome {
        let (node, repairs) = try NodeHome.open(directory(), catalogue: loadCatalogue())
        for repair in repairs { Terminal.error("zzsync: \(repair)") }
        return node
    }
}

enum Terminal {
    /// Why standard output could not be written (a full disk): the command did its work, and its exit code tells the rest.
    private static let outputFailure = Mutex<String?>(nil)

    static func error(_ text: String) {
        // Nobody is left to be told when this fails; a daemon whose log is on a full disk goes on.
        _ = write(Array((text + "\n").utf8), to: STDERR_FILENO)
    }

    /// What people have typed may hold what a terminal obeys: it is shown, not done.
    static func line(_ text: String) { output(Array((text.withoutControls + "\n").utf8)) }

    static func json(_ value: some Encodable) { output(WireJSON.encode(value, pretty: true) + [0x0A]) }

    private static func output(_ bytes: [UInt8]) {
        guard let reason = write(bytes, to: STDOUT_FILENO) else { return }
        outputFailure.withLock { $0 = $0 ?? reason }
    }

    /// - Throws: `Failure(.damaged)` when output was lost.
    static func checkOutput() throws(Failure) {
        guard let reason = outputFailure.withLock({ $0 }) else { return }
        throw Failure(
            .damaged, "The output of this command could not be written: \(reason).",
            next: "Free some space and look again; what the command itself did is done.")
    }

    /// - Returns: the reason when it failed. `FileHandle.write` ends the process instead.
    private static func write(_ bytes: [UInt8], to file: Int32) -> String? {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + done, $0.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(cString: strerror(errno)) }
            done += count
        }
        return nil
    }

    static func time(_ seconds: Int64?) -> String {
        seconds.map(shownTime) ?? "never"
    }

    static func bytes(_ count: Int) -> String {
        count < 10_000 ? "\(count) B" : "\((count + 500) / 1_000) kB"
    }
}

extension String {
    /// Control characters but tabs and line breaks as U+FFFD.
    fileprivate var withoutControls: String {
        guard unicodeScalars.contains(where: \.isObeyed) else { return self }
        var shown = UnicodeScalarView()
        for scalar in unicodeScalars { shown.append(scalar.isObeyed ? "\u{FFFD}" : scalar) }
        return String(shown)
    }
}

extension Unicode.Scalar {
    fileprivate var isObeyed: Bool { properties.generalCategory == .control && self != "\n" && self != "\t" }
}

/// A JSON value of any shape, for output.
enum JSONValue: Encodable {
    case null, bool(Bool), number(Int64), real(Double), string(String)
    case array([JSONValue]), object([String: JSONValue])

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .real(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    init(_ value: Value) {
        switch value {
        case .null: self = .null
        case .integer(let value): self = .number(value)
        case .real(let value): self = .real(value)
        case .text(let value): self = .string(value)
        }
    }
}

extension Form {
    /// A row as JSON: column → value, with its id as a decimal string; `twins` where other rows have its key.
    func json(_ row: StoredRow, twins: [StoredRow] = []) -> JSONValue {
        var object: [String: JSONValue] = ["id": .string(row.id.description)]
        for (field, value) in zip(fields, row.values) { object[field.id] = JSONValue(value) }
        if !twins.isEmpty { object["twins"] = .array(twins.map { json($0) }) }
        return .object(object)
    }
}
