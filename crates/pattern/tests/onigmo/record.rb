# Writes what Onigmo finds into case files, as the results that tests/onigmo.rs expects.
#
#   ruby record.rb FILE…
#
# A file holds patterns, each followed by the texts to search, in quotes:
#
#   pattern: ^(?<a>[^ ]*)
#     "a b" = 0..1 0..1
#
# What stands behind a text is replaced. Ruby links Onigmo into itself; its search is called directly, because Ruby's own
# methods refuse texts that are not UTF-8.

require 'fiddle'

POINTER = Fiddle::TYPE_VOIDP
LIBRARY = Fiddle.dlopen(Dir['/usr/lib/*/libruby*.so*'].first)
SEARCH = Fiddle::Function.new(LIBRARY['onig_search'], [POINTER] * 6 + [Fiddle::TYPE_INT], Fiddle::TYPE_LONG)
NEW_REGION = Fiddle::Function.new(LIBRARY['onig_region_new'], [], POINTER)

# The positions of all groups, or nil. The second word behind a Regexp's header is its compiled pattern; a region holds two
# numbers and two arrays.
def search(regexp, text)
  pattern = Fiddle::Pointer.new(Fiddle.dlwrap(regexp))[16, 8].unpack1('Q')
  bytes = text + "\0"
  start = Fiddle::Pointer[bytes]
  region = NEW_REGION.call
  return nil if SEARCH.call(pattern, start, start + text.bytesize, start, start + text.bytesize, region, 0).negative?
  count = region[4, 4].unpack1('l')
  starts, ends = [8, 16].map { |at| Fiddle::Pointer.new(region[at, 8].unpack1('Q'))[0, 8 * count].unpack('q*') }
  starts.zip(ends)
end

def unescape(quoted)
  quoted.gsub(/\\(x\h\h|.)/n) do
    escape = $1
    case escape[0]
    when 'n' then "\n"
    when 't' then "\t"
    when 'r' then "\r"
    when 'x' then escape[1..].hex.chr
    else escape
    end
  end
end

def describe(regexp, text)
  groups = search(regexp, text)
  return 'none' if groups.nil?
  groups.map { |from, to| from.negative? ? '-' : "#{from}..#{to}" }.join(' ')
end

ARGV.each do |path|
  regexp = nil
  lines = File.binread(path).lines.filter_map do |line|
    if line.start_with?('pattern: ')
      begin
        fixed_encoding = 16
        source = line.delete_prefix('pattern: ').chomp.force_encoding('UTF-8')
        regexp = Regexp.new(source, fixed_encoding)
        line
      rescue RegexpError => error
        regexp = nil
        "#{line}  refused\n"
      end
    elsif line =~ /\A  (".*")/n
      quoted = $1
      regexp && "  #{quoted} = #{describe(regexp, unescape(quoted[1..-2]).b)}\n"
    elsif line =~ /\A  refused/n
      nil
    else
      line
    end
  end
  File.binwrite(path, lines.join)
end
