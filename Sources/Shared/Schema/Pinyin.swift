/// Hanyu Pinyin of personal names as GB/T 28039 writes them: surname, a space, the given name in one word, no tones.
package enum Pinyin {
    /// Part of what decoding needs (`Predictors`): raise it with every change of a reading.
    static let version = 1

    /// "王小明" → "Wang Xiaoming"; nil unless every character is known.
    package static func name(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        return appendName(text, to: &out) ? out : nil
    }

    /// - Returns: false, and then `out` may have got a part of it, unless every character is known.
    static func appendName(_ text: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) -> Bool {
        // A Chinese character of the table takes three bytes; longer names than any are left alone.
        let count = text.count / 3
        guard text.count % 3 == 0, (1...maximumCount).contains(count) else { return false }
        func character(_ i: Int) -> Int? {
            let (a, b, c) = (text[i * 3], text[i * 3 + 1], text[i * 3 + 2])
            guard a & 0xF0 == 0xE0, b & 0xC0 == 0x80, c & 0xC0 == 0x80 else { return nil }
            let scalar = Int(a & 0x0F) << 12 | Int(b & 0x3F) << 6 | Int(c & 0x3F)
            return (0..<readings.index.count).contains(scalar - first) ? scalar : nil
        }
        func append(_ syllable: [UInt8], capital: Bool) {
            let start = out.count
            out.append(contentsOf: syllable)
            if capital { out[start] -= 0x20 }
        }
        guard let head = character(0) else { return false }
        var next = 1
        if count > 2, let second = character(1), let both = compound[[head, second]] {
            append(both, capital: true)
            next = 2
        } else if let surname = surnames[head] {
            append(surname, capital: true)
        } else {
            guard let syllable = readings[head] else { return false }
            append(syllable, capital: true)
        }
        let isGiven = next
        while next < count {
            guard let scalar = character(next), let syllable = readings[scalar] else { return false }
            if next == isGiven { out.append(0x20) }
            append(syllable, capital: next == isGiven)
            next += 1
        }
        return true
    }

    private static let maximumCount = 8
    /// The first scalar of the CJK block that the table is about, U+4E00 to U+9FFF.
    private static let first = 0x4E00

    private struct Readings {
        var syllables: [[UInt8]] = [[]]
        /// By scalar; 0 = unknown.
        var index = [UInt16](repeating: 0, count: 0x5200)
        subscript(scalar: Int) -> [UInt8]? {
            let number = Int(index[scalar - Pinyin.first])
            return number == 0 ? nil : syllables[number]
        }
    }

    private static let readings: Readings = {
        var readings = Readings()
        for line in table.split(separator: "\n") {
            let scalars = line.unicodeScalars
            let syllable = scalars.prefix { $0.value < UInt32(first) }
            readings.syllables.append(Array(String(String.UnicodeScalarView(syllable)).utf8))
            for scalar in scalars.dropFirst(syllable.count) {
                readings.index[Int(scalar.value) - first] = UInt16(readings.syllables.count - 1)
            }
        }
        return readings
    }()

    /// Characters that sound otherwise as a surname.
    private static let surnames: [Int: [UInt8]] = pairs(
        "曾zeng 单shan 仇qiu 解xie 区ou 查zha 翟zhai 朴piao 盖ge 缪miao 乐yue 任ren 华hua 覃qin 员yun 种chong 那na 繁po 牟mou 宓fu 折she 黑he 洗xian 尉wei 祭zhai 葛ge 晟cheng 长zhang"
    ).reduce(into: [:]) { $0[$1.0[0]] = $1.1 }

    private static let compound: [[Int]: [UInt8]] = pairs(
        "欧阳ouyang 司马sima 上官shangguan 诸葛zhuge 司徒situ 东方dongfang 皇甫huangfu 尉迟yuchi 万俟moqi 令狐linghu 慕容murong 夏侯xiahou 端木duanmu 公孙gongsun 轩辕xuanyuan 长孙zhangsun 宇文yuwen 独孤dugu 南宫nangong 西门ximen 呼延huyan 澹台tantai 闻人wenren 钟离zhongli 申屠shentu 太史taishi 百里baili 淳于chunyu"
    ).reduce(into: [:]) { $0[$1.0] = $1.1 }

    private static func pairs(_ text: String) -> [([Int], [UInt8])] {
        text.split(separator: " ").map { word in
            let head = word.unicodeScalars.prefix { $0.value >= UInt32(first) }
            return (head.map { Int($0.value) }, Array(String(word).utf8.dropFirst(head.count * 3)))
        }
    }
}
