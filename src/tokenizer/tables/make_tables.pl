#!/usr/bin/perl
# Writes ../unicode_tables.c: perl make_tables.pl > ../unicode_tables.c
#
# The reference mixes Unicode versions, so one table per use is made here from perl 5.36's Unicode 14.0 data
# (other versions of the data are refused) and the differences to the wanted version, which are listed below:
#   normalisation          9.0   later code points have no decomposition and class 0
#   BERT categories        8.0   later code points are Cn, with six corrections
#   regular expressions   16.0   14.0 plus the code points of 15.0, 15.1 and 16.0
#   lower-casing          17.0   14.0 plus later pairs
use strict;
use warnings;
use feature 'unicode_strings';
use Unicode::UCD qw(prop_invmap);

die "make_tables.pl needs a perl with Unicode 14.0 data\n" unless Unicode::UCD::UnicodeVersion() eq '14.0.0';
my $LAST = 0x10FFFF;

my @CATEGORY = qw(Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs);
my %category_index = map { $CATEGORY[$_] => $_ } 0 .. $#CATEGORY;

# Categories that 8.0 gives otherwise than 14.0 does.
my %fix8 = (0x166D => 'Po', 0x111C9 => 'Po', 0x1734 => 'Mn', 0x1885 => 'Lo', 0x1886 => 'Lo', 0xA9BD => 'Mc');

# UnicodeData.txt 16.0 against 14.0.
my $ADDED16 = <<'END';
897=Mn CF3=Mc ECE=Mn 1B4E-1B4F=Po 1B7F=Po 1C89=Lu 1C8A=Ll 2427-2429=So 2FFC-2FFF=So 31E4-31E5=So 31EF=So
A7CB-A7CC=Lu A7CD=Ll A7DA=Lu A7DB=Ll A7DC=Lu 105C0-105F3=Lo 10D40-10D49=Nd 10D4A-10D4D=Lo 10D4E=Lm 10D4F=Lo
10D50-10D65=Lu 10D69-10D6D=Mn 10D6E=Pd 10D6F=Lm 10D70-10D85=Ll 10D8E-10D8F=Sm 10EC2-10EC4=Lo 10EFC-10EFF=Mn
1123F-11240=Lo 11241=Mn 11380-11389=Lo 1138B=Lo 1138E=Lo 11390-113B5=Lo 113B7=Lo 113B8-113BA=Mc 113BB-113C0=Mn
113C2=Mc 113C5=Mc 113C7-113CA=Mc 113CC-113CD=Mc 113CE=Mn 113CF=Mc 113D0=Mn 113D1=Lo 113D2=Mn 113D3=Lo
113D4-113D5=Po 113D7-113D8=Po 113E1-113E2=Mn 116D0-116E3=Nd 1171E=Mc 11B00-11B09=Po 11BC0-11BE0=Lo 11BE1=Po
11BF0-11BF9=Nd 11F00-11F01=Mn 11F02=Lo 11F03=Mc 11F04-11F10=Lo 11F12-11F33=Lo 11F34-11F35=Mc 11F36-11F3A=Mn
11F3E-11F3F=Mc 11F40=Mn 11F41=Mc 11F42=Mn 11F43-11F4F=Po 11F50-11F59=Nd 11F5A=Mn 1342F=Lo 13439-1343F=Cf 13440=Mn
13441-13446=Lo 13447-13455=Mn 13460-143FA=Lo 16100-1611D=Lo 1611E-16129=Mn 1612A-1612C=Mc 1612D-1612F=Mn
16130-16139=Nd 16D40-16D42=Lm 16D43-16D6A=Lo 16D6B-16D6C=Lm 16D6D-16D6F=Po 16D70-16D79=Nd 18CFF=Lo 1B132=Lo 1B155=Lo
1CC00-1CCEF=So 1CCF0-1CCF9=Nd 1CD00-1CEB3=So 1D2C0-1D2D3=No 1DF25-1DF2A=Ll 1E030-1E06D=Lm 1E08F=Mn 1E4D0-1E4EA=Lo
1E4EB=Lm 1E4EC-1E4EF=Mn 1E4F0-1E4F9=Nd 1E5D0-1E5ED=Lo 1E5EE-1E5EF=Mn 1E5F0=Lo 1E5F1-1E5FA=Nd 1E5FF=Po 1F6DC=So
1F774-1F776=So 1F77B-1F77F=So 1F7D9=So 1F8B2-1F8BB=So 1F8C0-1F8C1=So 1FA75-1FA77=So 1FA87-1FA89=So 1FA8F=So
1FAAD-1FAAF=So 1FABB-1FABF=So 1FAC6=So 1FACE-1FACF=So 1FADA-1FADC=So 1FADF=So 1FAE8-1FAE9=So 1FAF7-1FAF8=So
1FBCB-1FBEF=So 2B739=Lo 2EBF0-2EE5D=Lo 31350-323AF=Lo
END
my $ADDED_HAN16 = '2B739 2EBF0-2EE5D 31350-323AF';
my $ADDED_PREPEND16 = '113D1 11F02';

# SpecialCasing and UnicodeData 17.0 against 14.0: code point => lower case.
my %added_lower = (0x1C89 => 0x1C8A, 0xA7CB => 0x0264, 0xA7CC => 0xA7CD, 0xA7CE => 0xA7CF, 0xA7D2 => 0xA7D3,
    0xA7D4 => 0xA7D5, 0xA7DA => 0xA7DB, 0xA7DC => 0x019B);
$added_lower{$_} = $_ + 0x20 for 0x10D50 .. 0x10D65;
$added_lower{$_} = $_ + 0x1B for 0x16EA0 .. 0x16EB8;

sub ranges { map { my ($a, $b) = split /-/, $_; [hex $a, hex($b // $a)] } split ' ', $_[0] }

# One value per code point of a property.
sub property {
    my ($name) = @_;
    my ($list, $map, $format, $default) = prop_invmap($name);
    my @value;
    for my $i (0 .. $#$list) {
        my $end = $i < $#$list ? $list->[$i + 1] - 1 : $LAST;
        $end = $LAST if $end > $LAST;
        $value[$_] = $map->[$i] for $list->[$i] .. $end;
    }
    return \@value;
}

# ---------------------------------------------------------------- one record per code point
my ($gc, $ccc, $gcb, $age, $alphabetic, $nfc_check, $nfkc_check) = map { property($_) }
    qw(General_Category Canonical_Combining_Class Grapheme_Cluster_Break Age Alphabetic NFC_Quick_Check NFKC_Quick_Check);
my %short = (Unassigned => 'Cn', Control => 'Cc', Format => 'Cf', Private_Use => 'Co', Surrogate => 'Cs');
my @present8 = map { $_ ne 'Unassigned' && $_ ne 'NA' && (s/^V//r =~ s/_/./r) <= 8.0 ? 1 : 0 } @$age;
my @present9 = map { $_ ne 'Unassigned' && $_ ne 'NA' && (s/^V//r =~ s/_/./r) <= 9.0 ? 1 : 0 } @$age;

my @gc16 = map { $category_index{$_} // die "category $_" } map { $short{$_} // $_ } @$gc;
my @gc8 = map { $present8[$_] ? $gc16[$_] : $category_index{Cn} } 0 .. $LAST;
$gc8[$_] = $gc16[$_] for 0xE000 .. 0xF8FF, 0xF0000 .. 0xFFFFD, 0x100000 .. 0x10FFFD;
$gc8[$_] = $category_index{$fix8{$_}} for keys %fix8;

# 0 other, 1 extending (Extend, SpacingMark, ZWJ), 2 Prepend, 3 Control, 4 CR, 5 LF
my %break = (Extend => 1, SpacingMark => 1, ZWJ => 1, EX => 1, SM => 1, Prepend => 2, PP => 2, Control => 3, CN => 3, CR => 4, LF => 5);
my @break = map { $break{$_} // 0 } @$gcb;
my @newer = (0) x ($LAST + 1);
for my $entry (split ' ', $ADDED16) {
    my ($range, $category) = split /=/, $entry;
    for my $r (ranges($range)) {
        for my $c ($r->[0] .. $r->[1]) {
            $gc16[$c] = $category_index{$category};
            $newer[$c] = 1;
            $break[$c] = 1 if $category =~ /^M/;
            $break[$c] = 3 if $category eq 'Cf';
        }
    }
}
for my $r (ranges($ADDED_PREPEND16)) { $break[$_] = 2 for $r->[0] .. $r->[1] }

my $script = property('Script');
my @han = map { $_ eq 'Han' ? 1 : 0 } @$script;
for my $r (ranges($ADDED_HAN16)) { $han[$_] = 1 for $r->[0] .. $r->[1] }
my %space = map { $_ => 1 } 0x09 .. 0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000 .. 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000;

my @record;
for my $c (0 .. $LAST) {
    my $category = $CATEGORY[$gc16[$c]];
    my $word = ($alphabetic->[$c] // 'N') =~ /^Y/ || $category =~ /^(L.|M.|Nd|Nl|Pc)$/ || $c == 0x200C || $c == 0x200D;
    my $class = $present9[$c] ? $ccc->[$c] : 0;
    $class = 0 if $class eq 'Not_Reordered';
    $class = Unicode::UCD::prop_value_aliases('ccc', $class) && (grep { /^\d+$/ } Unicode::UCD::prop_value_aliases('ccc', $class))[0]
        unless $class =~ /^\d+$/;
    $record[$c] = $gc8[$c] | $gc16[$c] << 5 | $break[$c] << 10 | $class << 13 | ($space{$c} ? 1 << 21 : 0) | $han[$c] << 22 | ($word ? 1 << 23 : 0) | $newer[$c] << 24
        | ($present9[$c] && $nfc_check->[$c] !~ /^Y/ ? 1 << 25 : 0) | ($present9[$c] && $nfkc_check->[$c] !~ /^Y/ ? 1 << 26 : 0);
}

# ---------------------------------------------------------------- lower case, as a difference
my @lower = (0) x ($LAST + 1);
for my $c (0 .. $LAST) {
    next if $c >= 0xD800 && $c <= 0xDFFF;
    my $to = ord(lc chr $c);
    $lower[$c] = $to - $c if length(lc chr $c) == 1;
}
$lower[$_] = $added_lower{$_} - $_ for keys %added_lower;
$lower[0x03A3] = 0x03C3 - 0x03A3;
$lower[0x0130] = 0; # becomes two code points: the code's business

# ---------------------------------------------------------------- decompositions and compositions
my $exclusion = property('Full_Composition_Exclusion');
my %mapping;     # code point => [compatibility?, code points]
{
    my ($list, $map) = prop_invmap('Decomposition_Mapping');
    my $type = property('Decomposition_Type');
    for my $i (0 .. $#$list) {
        next unless ref $map->[$i] || ($map->[$i] =~ /^\d+$/ && $map->[$i]);
        my $end = $i < $#$list ? $list->[$i + 1] - 1 : $LAST;
        for my $c ($list->[$i] .. $end) {
            next if $c >= 0xAC00 && $c <= 0xD7A3;
            my @to = ref $map->[$i] ? @{$map->[$i]} : ($map->[$i] + $c - $list->[$i]);
            $mapping{$c} = [$type->[$c] =~ /^Can/ ? 0 : 1, @to] if $present9[$c];
        }
    }
}
sub decompose {
    my ($c, $compatible) = @_;
    my $m = $mapping{$c};
    return ($c) if !$m || ($m->[0] && !$compatible);
    return map { decompose($_, $compatible) } @$m[1 .. $#$m];
}
# pool entry: canonical count, compatibility count, canonical code points, compatibility code points. Offset 0: none.
my @pool = (0);
my @decomposition = (0) x ($LAST + 1);
for my $c (sort { $a <=> $b } keys %mapping) {
    my @canonical = $mapping{$c}[0] ? () : decompose($c, 0);
    my @compatible = decompose($c, 1);
    @compatible = () if "@canonical" eq "@compatible";
    $decomposition[$c] = @pool;
    push @pool, scalar(@canonical) | scalar(@compatible) << 8, @canonical, @compatible;
}
my @composition;
for my $c (sort { $a <=> $b } keys %mapping) {
    my $m = $mapping{$c};
    push @composition, [$m->[1], $m->[2], $c] if !$m->[0] && @$m == 3 && ($exclusion->[$c] // 'N') !~ /^Y/;
}
@composition = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @composition;

# ---------------------------------------------------------------- output
sub array {
    my ($type, $name, $format, @values) = @_;
    print "const $type $name\[", scalar(@values), "] = {\n";
    while (my @line = splice @values, 0, 16) { print '   ', (map { sprintf " $format,", $_ } @line), "\n" }
    print "};\n\n";
}
# A table of code points as blocks of 128: block number per code point / 128, equal blocks stored once.
sub two_level {
    my ($type, $name, @values) = @_;
    my (%seen, @first, @second);
    for (my $at = 0; $at <= $LAST; $at += 128) {
        my @block = @values[$at .. $at + 127];
        my $key = "@block";
        if (!defined $seen{$key}) {
            $seen{$key} = @second / 128;
            push @second, @block;
        }
        push @first, $seen{$key};
    }
    my $index = @second / 128 > 256 ? 'uint16_t' : 'uint8_t';
    array($index, "mr_unicode_${name}_block", '%d', @first);
    array($type, "mr_unicode_$name", '%d', @second);
    return ($index, scalar(@first), scalar(@second));
}
sub compact {    # values => (indices, distinct values)
    my (%seen, @distinct, @index);
    for my $v (@_) {
        if (!defined $seen{$v}) { $seen{$v} = @distinct; push @distinct, $v }
        push @index, $seen{$v};
    }
    return (\@index, \@distinct);
}

print "/* Made by tables/make_tables.pl from the Unicode Character Database; do not edit. Meanings: unicode.h. */\n";
print "#include \"tokenizer/unicode.h\"\n\n";
my ($record_index, $records) = compact(@record);
die "records" if @$records > 256;
two_level('uint8_t', 'record_index', @$record_index);
array('uint32_t', 'mr_unicode_record', '0x%x', @$records);
my ($lower_index, $lowers) = compact(@lower);
die "lowers" if @$lowers > 256;
two_level('uint8_t', 'lower_index', @$lower_index);
array('int32_t', 'mr_unicode_lower_delta', '%d', @$lowers);
die "pool" if @pool > 65535;
two_level('uint16_t', 'decomposition', @decomposition);
array('uint32_t', 'mr_unicode_decomposition_pool', '0x%x', @pool);
print "const size_t mr_unicode_composition_count = ", scalar(@composition), ";\n";
print "const uint32_t mr_unicode_composition[][3] = {\n";
print "    {", join(', ', map { sprintf '0x%x', $_ } @$_), "},\n" for @composition;
print "};\n";
