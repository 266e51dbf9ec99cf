/* The C library's own opinion: reads lines "EXPRESSION SUBJECT SUBJECT...", each word "x" and hexadecimal bytes,
   and prints a line for each: "-" if the expression does not compile, else 1 or 0 for each subject. */
#include <regex.h>
#include <stdio.h>
#include <string.h>

static char *bytes_of(char *word)
{
    char *to = word;
    unsigned value;

    for (const char *from = word + 1; sscanf(from, "%2x", &value) == 1; from += 2)
        *to++ = (char)value;
    *to = '\0';
    return word;
}

int main(void)
{
    static char line[1 << 16];

    while (fgets(line, sizeof line, stdin)) {
        regex_t regex;
        char *word = strtok(line, " \n");
        int compiles = word && regcomp(&regex, bytes_of(word), REG_EXTENDED | REG_NOSUB) == 0;

        if (!compiles)
            putchar('-');
        while (compiles && (word = strtok(NULL, " \n")))
            putchar(regexec(&regex, bytes_of(word), 0, NULL, 0) == 0 ? '1' : '0');
        putchar('\n');
        if (compiles)
            regfree(&regex);
    }
    return 0;
}
