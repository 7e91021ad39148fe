/* Prints the greeting it was compiled with, and the notes that the other stage left. */
#include <stdio.h>

int main(void) {
  puts(GREETING);
  FILE* notes = fopen("/notes.txt", "r");
  if (notes == NULL) return 1;
  for (int c = fgetc(notes); c != EOF; c = fgetc(notes)) putchar(c);
  return fclose(notes);
}
